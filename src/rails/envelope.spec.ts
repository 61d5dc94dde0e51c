import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { asEnvelope, checkEnvelope, compareEvents, envelopePins, eventContentDigest, payloadHash } from './envelope.js';
import { digestText } from './digest.js';
import { NO_WORLD } from './pins.js';
import { fromEpochMicros } from './time.js';

const minimal = {
  event_id: 'e-1',
  event_type: 'transaction',
  ts_utc: '2018-04-01T00:00:31.000000Z',
  manifest_fingerprint: 'a'.repeat(64),
};
const full = {
  ...minimal,
  parameter_hash: 'b'.repeat(64),
  seed: '18446744073709551615',
  scenario_id: 'baseline',
  run_id: 'c'.repeat(32),
  trace_id: 'd'.repeat(32),
  span_id: 'e'.repeat(16),
  schema_version: 'v1',
  producer: 'wsp',
  parent_event_id: 'e-0',
  payload: { amount_minor: 1230, currency: 'EUR' },
};

describe('the canonical envelope', () => {
  it('is taken with what is required and with everything, and is not changed', () => {
    expect(asEnvelope(minimal)).toBe(minimal);
    expect(asEnvelope(full)).toBe(full);
    expect(checkEnvelope(Object.freeze({ ...full }))).toMatchObject({ ok: true });
  });

  it.each(['event_id', 'event_type', 'ts_utc', 'manifest_fingerprint'] as const)('requires %s', (name) => {
    const { [name]: _left, ...rest } = full;
    expect(checkEnvelope(rest)).toEqual({
      ok: false,
      fault: { at: '', says: expect.stringContaining(`'${name}'`) },
    });
  });

  it.each<[string, unknown]>([
    ['event_id', ''],
    ['event_id', 'a b'],
    ['event_id', 'x'.repeat(129)],
    ['event_id', 7],
    ['event_type', 'Transaction'],
    ['event_type', 'df..decision'],
    ['ts_utc', null],
    ['ts_utc', '2018-04-01T00:00:31Z'],
    ['ts_utc', '2018-04-01T02:00:31.000000+02:00'],
    ['ts_utc', '2018-02-30T00:00:00.000000Z'],
    ['ts_utc', 1_522_540_831],
    ['manifest_fingerprint', 'a'.repeat(63)],
    ['manifest_fingerprint', 'A'.repeat(64)],
    ['parameter_hash', '0'.repeat(64)],
    ['seed', 7],
    ['run_id', 'c'.repeat(64)],
    ['trace_id', '0'.repeat(32)],
    ['span_id', '0'.repeat(16)],
    ['schema_version', '1'],
    ['schema_version', 'v0'],
    ['producer', 'WSP'],
    ['parent_event_id', ''],
    ['payload', []],
    ['payload', 'text'],
    ['payload', null],
  ])('refuses %s %j and names the place', (name, value) => {
    expect(checkEnvelope({ ...full, [name]: value })).toMatchObject({ ok: false, fault: { at: `/${name}` } });
  });

  it.each(['amount', 'emitted_at_utc', 'ts', 'Payload'])(
    'has no member %s: what an event says stands under payload',
    (name) => {
      expect(checkEnvelope({ ...full, [name]: 1 })).toEqual({
        ok: false,
        fault: { at: '', says: `has a member that is not allowed: "${name}"` },
      });
    },
  );

  it('is not fooled by a member called __proto__', () => {
    const text = JSON.stringify(full).replace('{', '{"__proto__":{"event_id":"e-2"},');
    expect(checkEnvelope(JSON.parse(text))).toMatchObject({ ok: false });
  });

  it('is not filled from a prototype', () => {
    expect(checkEnvelope(Object.create(full))).toMatchObject({ ok: false });
  });

  it.each([undefined, null, 7, 'x', [], [minimal]])('is not %j', (value) => {
    expect(checkEnvelope(value)).toMatchObject({ ok: false });
  });

  it('cuts the name of an unknown member and never shows a value', () => {
    const verdict = checkEnvelope({ ...full, ['x'.repeat(5000)]: 1 });
    expect(JSON.stringify(verdict).length).toBeLessThan(200);
    expect(() => asEnvelope({ ...full, seed: 'hunter2' })).toThrow(
      expect.objectContaining({ code: 'VALUE_INVALID', message: expect.not.stringContaining('hunter2') }),
    );
  });
});

describe('the pins of an envelope', () => {
  it('are those of its run', () => {
    const { manifest_fingerprint, parameter_hash, seed, scenario_id, run_id } = full;
    expect(envelopePins(asEnvelope(full))).toEqual({
      ok: true,
      pins: { manifest_fingerprint, parameter_hash, seed, scenario_id, run_id },
    });
    expect(envelopePins(asEnvelope(minimal))).toMatchObject({ ok: false, reason: 'PINS_MISSING' });
  });

  it('are none for a fact of the platform, which then names no run', () => {
    const fact = { ...minimal, manifest_fingerprint: NO_WORLD.manifest_fingerprint };
    expect(envelopePins(asEnvelope(fact))).toEqual({ ok: true, pins: NO_WORLD });
    for (const name of ['parameter_hash', 'seed', 'scenario_id', 'run_id'] as const) {
      expect(checkEnvelope({ ...fact, [name]: full[name] })).toEqual({
        ok: false,
        fault: { at: `/${name}`, says: 'must not be there beside the other members' },
      });
      expect(checkEnvelope({ ...minimal, [name]: full[name] })).toMatchObject({ ok: true });
    }
  });
});

describe('the digests of an event', () => {
  it('of the payload is over its canonical form', () => {
    expect(payloadHash(asEnvelope(full))).toBe(digestText('{"amount_minor":1230,"currency":"EUR"}'));
    expect(payloadHash({ payload: { currency: 'EUR', amount_minor: 1230 } })).toBe(payloadHash(asEnvelope(full)));
    expect(payloadHash(asEnvelope(minimal))).toBe(digestText('null'));
    expect(payloadHash({ payload: {} })).not.toBe(payloadHash(asEnvelope(minimal)));
  });

  it('of the content does not change with the trace of a delivery', () => {
    const again = asEnvelope({ ...full, trace_id: 'f'.repeat(32), span_id: 'f'.repeat(16) });
    const { trace_id: _trace, span_id: _span, ...untraced } = full;
    expect(eventContentDigest(again)).toBe(eventContentDigest(asEnvelope(full)));
    expect(eventContentDigest(asEnvelope(untraced))).toBe(eventContentDigest(asEnvelope(full)));
  });

  it.each([
    { event_type: 'chargeback' },
    { ts_utc: '2018-04-01T00:00:31.000001Z' },
    { seed: '1' },
    { schema_version: 'v2' },
    { producer: 'other' },
    { parent_event_id: 'e-9' },
    { payload: { amount_minor: 1231, currency: 'EUR' } },
  ])('of the content changes with %j', (change) => {
    expect(eventContentDigest(asEnvelope({ ...full, ...change }))).not.toBe(eventContentDigest(asEnvelope(full)));
  });

  it('is refused for a payload without a canonical form', () => {
    const envelope = asEnvelope({ ...full, payload: JSON.parse('{"n":1e999}') as unknown });
    expect(() => payloadHash(envelope)).toThrow('CANONICAL_FORM_INVALID');
  });
});

describe('the order of events', () => {
  it('is total: by time, then by id', () => {
    const event = fc
      .record({ micros: fc.integer({ min: 0, max: 3 }), id: fc.constantFrom('a', 'b', 'B', 'a0') })
      .map(({ micros, id }) => asEnvelope({ ...minimal, event_id: id, ts_utc: fromEpochMicros(micros) }));
    fc.assert(
      fc.property(event, event, event, (a, b, c) => {
        expect(compareEvents(a, b) + compareEvents(b, a)).toBe(0);
        expect(compareEvents(a, b) === 0).toBe(a.ts_utc === b.ts_utc && a.event_id === b.event_id);
        if (compareEvents(a, b) <= 0 && compareEvents(b, c) <= 0) expect(compareEvents(a, c)).toBeLessThanOrEqual(0);
        if (a.ts_utc < b.ts_utc) expect(compareEvents(a, b)).toBe(-1);
      }),
    );
  });
});
