import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { checkEnvelope, eventContentDigest } from '../../rails/envelope.js';
import { type Envelope } from '../../rails/envelope.schema.js';
import { TransactionSchema } from '../../rails/events/transaction.schema.js';
import { type RunPins } from '../../rails/pins.js';
import { validatorOf } from '../../rails/validator.js';
import { PlainTransactionSchema } from './plain-transaction.schema.js';
import { edgeEventIdOf } from './event-id.core.js';
import { eventOf, type Made, type Stamp } from './transaction.core.js';

const STAMP: Stamp = {
  producer: 'payments-api',
  pins: {
    manifest_fingerprint: 'a'.repeat(64),
    parameter_hash: 'b'.repeat(64),
    seed: '0',
    scenario_id: 'live',
    run_id: 'c'.repeat(32),
  } as RunPins,
};
const TRACE = { trace_id: '1'.repeat(32), span_id: '2'.repeat(16) };

const PAYMENT = {
  transaction_id: 't-1',
  occurred_at: '2026-03-01T13:00:00.25+01:00',
  amount: '12.30',
  currency: 'EUR',
  card_id: 'card-1',
};

function envelopeOf(made: Made): Envelope {
  if (!made.ok) throw new Error(`${made.fault.at} ${made.fault.says}`);
  const verdict = checkEnvelope(JSON.parse(made.text));
  if (!verdict.ok) throw new Error(`${verdict.fault.at} ${verdict.fault.says}`);
  return verdict.value;
}

const payloads = validatorOf(TransactionSchema, 'the payload');
const plain = validatorOf(PlainTransactionSchema, 'the transaction');

describe('the envelope of a plain transaction', () => {
  it('has everything that the gate asks for, and the payload keeps its schema', () => {
    const envelope = envelopeOf(eventOf(PAYMENT, STAMP, TRACE));
    expect(envelope).toEqual({
      event_id: edgeEventIdOf('payments-api', 't-1'),
      event_type: 'transaction',
      schema_version: 'v1',
      ts_utc: '2026-03-01T12:00:00.250000Z',
      ...STAMP.pins,
      ...TRACE,
      producer: 'payments-api',
      payload: { transaction_id: 't-1', amount_minor: 1230, currency: 'EUR', card_id: 'card-1' },
    });
    expect(payloads.check(envelope.payload)).toMatchObject({ ok: true });
    expect(plain.check(PAYMENT)).toMatchObject({ ok: true });
  });

  it('counts in the minor units of the currency, and takes them as they are', () => {
    const minorOf = (amount: object): unknown =>
      envelopeOf(eventOf({ ...PAYMENT, amount: undefined, ...amount }, STAMP, undefined)).payload;
    expect(minorOf({ amount: '500', currency: 'JPY' })).toMatchObject({ amount_minor: 500 });
    expect(minorOf({ amount: '1.005', currency: 'KWD' })).toMatchObject({ amount_minor: 1005 });
    expect(minorOf({ amount_minor: 7 })).toMatchObject({ amount_minor: 7 });
  });

  it.each<readonly [string, object | string, string, string]>([
    ['no object', 'text', '', 'must be a JSON object'],
    ['an array', [], '', 'must be a JSON object'],
    ['no id', { transaction_id: undefined }, '/transaction_id', 'is required'],
    ['an id that is a number', { transaction_id: 7 }, '/transaction_id', 'printable ASCII'],
    ['an id of half a character', { transaction_id: '\ud800' }, '/transaction_id', 'printable ASCII'],
    ['an id that is too long', { transaction_id: 'x'.repeat(129) }, '/transaction_id', '1 to 128'],
    ['no time', { occurred_at: undefined }, '/occurred_at', 'never when it was sent'],
    ['a time without offset', { occurred_at: '2026-03-01T13:00:00' }, '/occurred_at', 'offset'],
    ['a time as a number', { occurred_at: 1_772_366_400 }, '/occurred_at', 'RFC 3339'],
    ['a day that is none', { occurred_at: '2026-02-30T13:00:00Z' }, '/occurred_at', 'no such date'],
    ['an amount as a number', { amount: 12.3 }, '/amount', 'binary fraction'],
    ['both amounts', { amount_minor: 1230 }, '/amount', 'send one of them'],
    ['no amount', { amount: undefined }, '/amount', 'is required'],
    ['too many decimals', { amount: '12.305' }, '/amount', '2 decimals'],
    ['no currency', { currency: undefined }, '/currency', 'is required beside amount'],
    ['a currency that is none', { currency: 'XXX' }, '/currency', 'no currency'],
    ['a thicket', { deep: JSON.parse('['.repeat(50_000) + ']'.repeat(50_000)) as unknown }, '', 'nested deeper'],
    ['a book', { note: 'x'.repeat(1_048_576) }, '', 'too large'],
  ])('%s is refused by its place', (_name, change, at, says) => {
    const value: unknown = typeof change === 'string' || Array.isArray(change) ? change : { ...PAYMENT, ...change };
    const made = eventOf(value, STAMP, undefined);
    expect(made).toMatchObject({ ok: false, fault: { code: 'EDGE_MAPPING_FAILED', at } });
    expect(made.ok ? '' : made.fault.says).toContain(says);
  });

  it('leaves the judgement of the payload to the gate', () => {
    const made = eventOf({ ...PAYMENT, unheard_of: 1, amount: '-1.00' }, STAMP, undefined);
    expect(envelopeOf(made).payload).toMatchObject({ unheard_of: 1, amount_minor: -100 });
  });

  const payment = fc.record(
    {
      transaction_id: fc.stringMatching(/^[!-~]{1,40}$/),
      occurred_at: fc
        .date({ min: new Date('1990-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
        .map((date) => date.toISOString()),
      amount_minor: fc.nat(),
      currency: fc.constantFrom('EUR', 'JPY', 'KWD', 'USD'),
      card_id: fc.stringMatching(/^[a-z0-9]{1,20}$/),
      city: fc.string(),
    },
    { requiredKeys: ['transaction_id', 'occurred_at', 'amount_minor', 'currency', 'card_id'] },
  );

  it('is the same text for the same body, so that a retry has the same digest', () => {
    fc.assert(
      fc.property(payment, (body) => {
        const [first, again] = [body, JSON.parse(JSON.stringify(body)) as object].map((each) =>
          eventOf(each, STAMP, undefined),
        );
        expect(again).toEqual(first);
        // Another trace is another delivery of the same event.
        const traced = envelopeOf(eventOf(body, STAMP, TRACE));
        expect(eventContentDigest(traced)).toBe(eventContentDigest(envelopeOf(eventOf(body, STAMP, undefined))));
      }),
    );
  });

  it('keeps its id and shows another content when the body changes under one transaction id', () => {
    fc.assert(
      fc.property(payment, payment, (body, other) => {
        const changed = { ...other, transaction_id: body.transaction_id };
        const one = envelopeOf(eventOf(body, STAMP, undefined));
        const two = envelopeOf(eventOf(changed, STAMP, undefined));
        expect(two.event_id).toBe(one.event_id);
        const same = JSON.stringify(Object.entries(body).sort()) === JSON.stringify(Object.entries(changed).sort());
        expect(eventContentDigest(two) === eventContentDigest(one)).toBe(same);
      }),
    );
  });

  it('gives two producers, and two transactions, two ids', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(fc.string(), fc.string()), { selector: (pair) => pair.join('|') }),
        (pairs) => {
          const distinct = new Set(pairs.map((pair) => JSON.stringify(pair)));
          const ids = new Set(pairs.filter(wellFormed).map(([producer, id]) => edgeEventIdOf(producer, id)));
          expect(ids.size).toBe(
            [...distinct].filter((text) => wellFormed(JSON.parse(text) as [string, string])).length,
          );
        },
      ),
    );
    expect(edgeEventIdOf('a:b', 'c')).not.toBe(edgeEventIdOf('a', 'b:c'));
  });
});

function wellFormed(pair: readonly string[]): boolean {
  return !pair.some((text) => /\p{Surrogate}/u.test(text));
}
