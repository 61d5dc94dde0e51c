import { describe, expect, it } from '@jest/globals';
import { type ActorId } from './actor.js';
import { emptyBasis, type Basis, type Progress } from './basis.js';
import { type Brand } from './brand.js';
import { canonicalJson, type CanonicalJson } from './canonical-json.js';
import { digestText, type Digest } from './digest.js';
import { asEbRef, type EbRef, type Offset } from './eb-ref.js';
import { type Envelope, type EventId } from './envelope.schema.js';
import { defineRecipe, type IdOf } from './identity-recipe.js';
import { money, type Currency, type Money } from './money.js';
import { type ContextPins, type RunPins } from './pins.js';
import { objectKey, type ObjectKey, type Ref } from './ref.js';
import { parseUtc, type EpochMicros, type UtcMicros } from './time.js';

/** Takes a value of one type; whether the argument compiles is the test, and `tsc` judges it: an unused directive fails. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the explicit type argument is the point
function takes<Type>(_value: Type): void {
  // Nothing to do at run time.
}

const receiptId = defineRecipe<{ readonly event_id: string }, 'ReceiptId'>('test.receipt', 1, { event_id: true });

describe('what the compiler refuses', () => {
  it('mixed-up texts and numbers', () => {
    const digest = digestText('x');
    const key = objectKey('a');
    takes<Digest>(digest);
    takes<ObjectKey>(key);
    // @ts-expect-error -- a digest is no event id
    takes<EventId>(digest);
    // @ts-expect-error -- nor a key
    takes<ObjectKey>(digest);
    // @ts-expect-error -- any text is no digest
    takes<Digest>('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    // @ts-expect-error -- any text is no actor
    takes<ActorId>('SYSTEM::ig');
    // @ts-expect-error -- JSON text that nobody made canonical
    takes<CanonicalJson>(JSON.stringify({}));
    takes<CanonicalJson>(canonicalJson({}));
    // @ts-expect-error -- a time that nobody normalised
    takes<UtcMicros>('2018-04-01T00:00:31Z');
    takes<UtcMicros>(parseUtc('2018-04-01T00:00:31Z'));
    // @ts-expect-error -- milliseconds are not microseconds
    takes<EpochMicros>(1_522_540_831_000);
    // @ts-expect-error -- a count is no offset
    takes<Offset>(7);
    // @ts-expect-error -- any three letters are no currency
    takes<Currency>('EUR');
    // @ts-expect-error -- an amount that was never checked
    takes<Money>({ amount_minor: 12.3, currency: 'EUR' });
    takes<Money>(money(1230, 'EUR'));
    expect(digest).not.toBe(key);
  });

  it('ids of one recipe where those of another are wanted', () => {
    const receipt = receiptId.derive({ event_id: 'e' });
    takes<IdOf<typeof receiptId>>(receipt);
    // @ts-expect-error -- a receipt id is no decision id
    takes<Brand<string, 'DecisionId'>>(receipt);
    // @ts-expect-error -- an id is no digest, though both are 64 hex digits
    takes<Digest>(receipt);
    // @ts-expect-error -- a field that the recipe does not know
    expect(() => receiptId.derive({ event_id: 'e', offset: 7 })).toThrow('VALUE_INVALID');
    // @ts-expect-error -- a field that is missing
    expect(() => receiptId.derive({})).toThrow('VALUE_INVALID');
    // @ts-expect-error -- a recipe that names fewer fields than it has
    defineRecipe<{ readonly a: string; readonly b: string }>('test.short', 1, { a: true });
    // @ts-expect-error -- a field of this name would hide the recipe's
    expect(() => defineRecipe<{ readonly recipe: string }>('test.bad', 1, { recipe: true })).toThrow('VALUE_INVALID');
  });

  it('a basis made by hand, and the offset of a record for the next one', () => {
    takes<Basis>(emptyBasis(['t']));
    // @ts-expect-error -- zeros and orders would differ: bases are made by the functions of basis.ts
    takes<Basis>({ topics: { t: {} } });
    const record = asEbRef({ topic: 't', partition: 0, offset: 4 });
    takes<EbRef>(record);
    // @ts-expect-error -- progress names the offset after the record
    takes<readonly Progress[]>([record]);
    expect(record.offset).toBe(4);
  });

  it('changes of what was read', () => {
    const change = (ref: Ref, envelope: Envelope, pins: RunPins): void => {
      // @ts-expect-error -- readonly
      ref.size = 1;
      // @ts-expect-error -- readonly all the way down
      ref.digest.hex = digestText('y');
      // @ts-expect-error -- readonly
      envelope.ts_utc = parseUtc('2018-04-01T00:00:31Z');
      // @ts-expect-error -- readonly
      delete pins.seed;
    };
    const pinsOf = (pins: ContextPins): void => {
      // @ts-expect-error -- a fact of no world has no seed: ask isNoWorld first
      takes<unknown>(pins.seed);
    };
    expect([change, pinsOf]).toHaveLength(2);
  });
});
