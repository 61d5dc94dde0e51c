import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson, type JsonObject } from '../../rails/canonical-json.js';
import { asEnvelope, eventContentDigest, payloadHash } from '../../rails/envelope.js';
import { type EventId } from '../../rails/envelope.schema.js';
import { PAYLOADS } from '../../rails/events/catalogue.js';
import { asPins, type RunPins } from '../../rails/pins.js';
import { validatorOf } from '../../rails/validator.js';
import { ADMISSION_RECIPE, admissionIds } from './identity.core.js';
import {
  inspect,
  type Inspected,
  isRefusal,
  place,
  type ReadyRun,
  type Refusal,
  runsOf,
} from './ingestion-gate.core.js';
import { AdmissionPolicySchema } from './ingestion-gate.port.js';
import { AdmissionRules, PayloadCatalogue } from './rules.core.js';

const PINS = asPins({
  manifest_fingerprint: 'a'.repeat(64),
  parameter_hash: 'b'.repeat(64),
  seed: '7',
  scenario_id: 'shop',
  run_id: 'c'.repeat(32),
}) as RunPins;

const POLICY = validatorOf(AdmissionPolicySchema, 'the policy').demand({
  producers: {
    till: { principals: ['SYSTEM::edge'], event_types: ['transaction'], scenarios: ['shop*'] },
  },
  event_types: {
    transaction: { class: 'traffic', schema_versions: ['v1'], partition_key: ['card_id', 'account_id'] },
  },
  partitioning_profile: 'payer.v1',
  limits: { event_bytes_max: 4_096, throttle_bytes: 1_024, pause_bytes: 2_048 },
  quarantine: { keep_raw: true },
});
const RULES = new AdmissionRules(POLICY, new PayloadCatalogue(PAYLOADS));
const SENDER = { principalId: 'SYSTEM::edge' };

const READY: ReadyRun = {
  state: 'READY',
  pins: PINS,
  admissionId: admissionIds(PINS),
  traffic: [{ event_type: 'transaction', schema_version: 'v1' }],
  roles: new Map(),
};

const PAYLOAD: JsonObject = { transaction_id: 't1', amount_minor: 100, currency: 'EUR', card_id: 'c1' };

function event(more: JsonObject = {}): JsonObject {
  return {
    event_id: 'e1',
    event_type: 'transaction',
    schema_version: 'v1',
    ts_utc: '2026-01-01T00:00:00.000000Z',
    ...PINS,
    producer: 'till',
    payload: PAYLOAD,
    ...more,
  };
}

function inspected(value: JsonObject): Inspected {
  const verdict = inspect(JSON.stringify(value), SENDER, RULES);
  if (isRefusal(verdict)) throw new Error(`${verdict.reason}: ${verdict.detail}`);
  return verdict;
}

function refused(text: string, sender: Parameters<typeof inspect>[1] = SENDER): Refusal {
  const verdict = inspect(text, sender, RULES);
  if (!isRefusal(verdict)) throw new Error('it was taken');
  return verdict;
}

/** Envelopes that are taken, with everything that varies in one. */
const envelopes = fc.record({
  event_id: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:~-]{0,40}$/),
  ts_utc: fc.integer({ min: 0, max: 4_000_000_000_000 }).map((ms) => `${new Date(ms).toISOString().slice(0, 23)}123Z`),
  trace: fc.option(fc.constantFrom({ trace_id: '1'.repeat(32), span_id: '2'.repeat(16) })),
  parent: fc.option(fc.constant('e0')),
  amount: fc.nat(Number.MAX_SAFE_INTEGER),
  card: fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/),
  latitude: fc.option(fc.integer({ min: -90_000_000, max: 90_000_000 })),
});

const built = envelopes.map(({ event_id, ts_utc, trace, parent, amount, card, latitude }) =>
  event({
    event_id,
    ts_utc,
    ...(trace ?? {}),
    ...(parent === null ? {} : { parent_event_id: parent }),
    payload: {
      ...PAYLOAD,
      amount_minor: amount,
      card_id: card,
      ...(latitude === null ? {} : { latitude_e6: latitude }),
    },
  }),
);

describe('judging', () => {
  it('gives the very digests, texts and ids of the rails', () => {
    fc.assert(
      fc.property(built, (value) => {
        const verdict = inspected(value);
        const envelope = asEnvelope(value);
        expect(verdict.text).toBe(canonicalJson(value));
        expect(verdict.payloadHash).toBe(payloadHash(envelope));
        expect(verdict.contentDigest).toBe(eventContentDigest(envelope));
        expect(verdict.bytes).toBe(Buffer.byteLength(verdict.text));
        const candidate = place(verdict, READY);
        if (isRefusal(candidate)) throw new Error(candidate.detail);
        expect(candidate.admissionId).toBe(ADMISSION_RECIPE.derive({ pins: PINS, event_id: envelope.event_id }));
        expect(candidate.partitionKey).toBe(envelope.payload?.['card_id']);
      }),
      { numRuns: 300 },
    );
  });

  it('gives one content to one event, in whatever order and spelling its members come, and whatever its trace', () => {
    fc.assert(
      fc.property(built, fc.array(fc.nat()), (value, order) => {
        const shuffled = Object.fromEntries(
          Object.entries(value)
            .map((entry, index) => [order[index] ?? index, entry] as const)
            .sort(([a], [b]) => a - b)
            .map(([, entry]) => entry),
        );
        const traced = { ...shuffled, trace_id: 'e'.repeat(32), span_id: 'f'.repeat(16) };
        const one = inspected(value);
        const other = inspect(JSON.stringify(traced, null, 2), SENDER, RULES);
        if (isRefusal(other)) throw new Error(other.detail);
        expect(other.contentDigest).toBe(one.contentDigest);
        expect(other.payloadHash).toBe(one.payloadHash);
      }),
    );
  });

  it('gives other pins another identity, pin by pin', () => {
    const ids = new Set([admissionIds(PINS)('e1' as EventId)]);
    const others: RunPins[] = [
      { ...PINS, manifest_fingerprint: 'd'.repeat(64) as RunPins['manifest_fingerprint'] },
      { ...PINS, parameter_hash: 'd'.repeat(64) as RunPins['parameter_hash'] },
      { ...PINS, seed: '8' as RunPins['seed'] },
      { ...PINS, scenario_id: 'shop2' as RunPins['scenario_id'] },
      { ...PINS, run_id: 'd'.repeat(32) as RunPins['run_id'] },
    ];
    for (const pins of others) ids.add(admissionIds(pins)('e1' as EventId));
    expect(ids.size).toBe(6);
  });

  it('never quotes a value of the event', () => {
    const secret = 'SECRET-4711';
    const texts = [
      `{"event_id":"${secret}`,
      JSON.stringify(event({ event_id: `${secret}\u0000` })),
      JSON.stringify(event({ ts_utc: secret })),
      JSON.stringify(event({ seed: secret })),
      JSON.stringify(event({ payload: { ...PAYLOAD, amount_minor: secret } })),
      JSON.stringify(event({ producer: secret.toLowerCase() })),
      JSON.stringify(event({ schema_version: secret })),
      JSON.stringify(event({ payload: { ...PAYLOAD, card_id: `\n${secret}` } })),
    ];
    for (const text of texts) expect(refused(text).detail).not.toMatch(/secret-4711/i);
  });

  it('names the first check that fails, in the order of the stages', () => {
    // Each is wrong in its own way and in every later one, too.
    const wrongs: readonly (readonly [stage: string, change: JsonObject])[] = [
      ['partition_key', { payload: { ...PAYLOAD, card_id: undefined as never, customer_id: 'x' } }],
      ['payload', { payload: { ...PAYLOAD, amount_minor: -1 } }],
      ['allowlist', { scenario_id: 'bank' }],
      ['producer', { producer: 'nobody' }],
      ['envelope', { ts_utc: 'never' }],
    ];
    let value = event();
    for (const [stage, change] of wrongs) {
      value = { ...value, ...change };
      const verdict = inspect(JSON.stringify(value), SENDER, RULES);
      const last = isRefusal(verdict) ? verdict : place(verdict, READY);
      expect(isRefusal(last) && last.stage).toBe(stage);
    }
    expect(refused(JSON.stringify(value).slice(1)).stage).toBe('parse');
    expect(refused(JSON.stringify(value).padEnd(5_000)).stage).toBe('size');
  });

  it('takes as large as the policy says, in bytes and in canonical form', () => {
    const text = (padding: string) => JSON.stringify(event({ payload: { ...PAYLOAD, city: padding } }));
    const room = 4_096 - Buffer.byteLength(text(''));
    expect(room).toBeGreaterThan(128);
    expect(refused(JSON.stringify(event()).padEnd(4_097)).reason).toBe('PAYLOAD_TOO_LARGE');
    expect(isRefusal(inspect(JSON.stringify(event()).padEnd(4_096), SENDER, RULES))).toBe(false);
    // A hundred numbers of four characters that are 22 characters long in canonical form.
    expect(refused(`{"payload":[${'1e20,'.repeat(300)}1]}`).reason).toBe('PAYLOAD_TOO_LARGE');
    expect(refused(`"${'\u20ac'.repeat(2_000)}"`).reason).toBe('PAYLOAD_TOO_LARGE');
  });

  it('wants a corrected event to name the one that it supersedes, and takes a released one as it was', () => {
    const supersedes = (eventId: string | null) => ({ ...SENDER, supersedes: { eventId } });
    const corrected = JSON.stringify(event({ event_id: 'e2', parent_event_id: 'e1' }));
    expect(isRefusal(inspect(corrected, supersedes('e1'), RULES))).toBe(false);
    expect(isRefusal(inspect(JSON.stringify(event()), supersedes('e1'), RULES))).toBe(false);
    expect(isRefusal(inspect(JSON.stringify(event()), supersedes(null), RULES))).toBe(false);
    expect(refused(JSON.stringify(event({ event_id: 'e2' })), supersedes('e1')).detail).toMatch('/parent_event_id');
    expect(refused(corrected, supersedes('e0')).reason).toBe('ENVELOPE_INVALID');
  });

  it('asks for each run once', () => {
    const verdicts = [event(), event({ event_id: 'e2' }), event({ run_id: 'd'.repeat(32) })].map(inspected);
    expect([...runsOf([...verdicts, refused('{')])]).toEqual(['c'.repeat(32), 'd'.repeat(32)]);
  });
});
