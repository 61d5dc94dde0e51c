import { type IdempotencyOutcome } from './idempotency.js';

/**
 * The shared cases of the NEW / DUPLICATE / CONFLICT table: the contract suite of every writing boundary (admission,
 * objects, labels, registry, actions …) runs them all, so that the three words mean the same at each door.
 *
 * `identity` and `content` are tokens; the suite maps them to its own ids and bodies, the same token to the same value.
 * `split` cuts the offers into the batches in which they are brought.
 */
export interface IdempotencyCase {
  readonly name: string;
  readonly batches: readonly (readonly { readonly identity: string; readonly content: string }[])[];
  readonly outcomes: readonly (readonly IdempotencyOutcome[])[];
  /** What stands in the end: identity to content. */
  readonly stands: Readonly<Record<string, string>>;
}

const a1 = { identity: 'a', content: '1' };
const a2 = { identity: 'a', content: '2' };
const b1 = { identity: 'b', content: '1' };

export const IDEMPOTENCY_CASES: readonly IdempotencyCase[] = [
  { name: 'a first offer', batches: [[a1]], outcomes: [['NEW']], stands: { a: '1' } },
  {
    name: 'the same offer later, any number of times',
    batches: [[a1], [a1], [a1]],
    outcomes: [['NEW'], ['DUPLICATE'], ['DUPLICATE']],
    stands: { a: '1' },
  },
  {
    name: 'other content under the same identity: the first stands',
    batches: [[a1], [a2]],
    outcomes: [['NEW'], ['CONFLICT']],
    stands: { a: '1' },
  },
  {
    name: 'the first again after a conflict',
    batches: [[a1], [a2], [a1], [a2]],
    outcomes: [['NEW'], ['CONFLICT'], ['DUPLICATE'], ['CONFLICT']],
    stands: { a: '1' },
  },
  {
    name: 'the same content under another identity',
    batches: [[a1], [b1]],
    outcomes: [['NEW'], ['NEW']],
    stands: { a: '1', b: '1' },
  },
  {
    name: 'twice within one batch',
    batches: [[a1, b1, a1]],
    outcomes: [['NEW', 'NEW', 'DUPLICATE']],
    stands: { a: '1', b: '1' },
  },
  {
    name: 'a conflict within one batch',
    batches: [[a1, a2, a1]],
    outcomes: [['NEW', 'CONFLICT', 'DUPLICATE']],
    stands: { a: '1' },
  },
  {
    name: 'a batch that mixes what stands with what is new',
    batches: [[a1], [a2, b1, a1, b1]],
    outcomes: [['NEW'], ['CONFLICT', 'NEW', 'DUPLICATE', 'DUPLICATE']],
    stands: { a: '1', b: '1' },
  },
  {
    name: 'the whole batch again',
    batches: [
      [a1, b1],
      [a1, b1],
    ],
    outcomes: [
      ['NEW', 'NEW'],
      ['DUPLICATE', 'DUPLICATE'],
    ],
    stands: { a: '1', b: '1' },
  },
];
