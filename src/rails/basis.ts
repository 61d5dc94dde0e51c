import { Type } from '@sinclair/typebox';
import { type Brand } from './brand.js';
import { digestCanonical } from './canonical-json.js';
import { DigestSchema, type Digest } from './digest.js';
import { OffsetSchema, asTopicName, type EbRef, type Offset } from './eb-ref.js';
import { ProbityError } from './errors/probity-error.js';
import { closed, type Sealed } from './schema.js';
import { validatorOf } from './validator.js';

/**
 * How far a consumer has got (law R5): for each partition of its topics the offset that it will apply **next**. Everything
 * below has been applied, the offset itself has not.
 *
 * The topics are fixed when the basis is made: "nothing of the control topic yet" and "the control topic plays no part"
 * are different statements, so bases of different topics are never joined or compared. Within a topic a partition that
 * is not named stands at 0, and 0 is never written down, so that equal bases have one form and one digest.
 *
 * Over the same topics bases form a distributive lattice: `joinBases` (per-partition maximum) is what has been applied by
 * either, `meetBases` (minimum) by both.
 */
export interface BasisOffsets {
  readonly [topic: string]: { readonly [partition: string]: Offset };
}
export type Basis = Brand<{ readonly topics: BasisOffsets }, 'Basis'>;

/** `partition: {"12": 4711}`: digits without leading zeros, as many as a partition number has. */
const PARTITION = '^(0|[1-9][0-9]{0,9})$';

export const BasisSchema = closed(
  {
    topics: Type.Record(
      Type.String({ pattern: '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,248}$' }),
      Type.Record(Type.String({ pattern: PARTITION }), OffsetSchema, { additionalProperties: false }),
      {
        additionalProperties: false,
        minProperties: 1,
        description:
          'topic, then partition, to the next offset to apply (exclusive); a partition not named stands at 0',
      },
    ),
    basis_digest: DigestSchema,
  },
  { description: 'How far a consumer had got (law R5).' },
);

/** A basis as it stands in records: with its digest. */
export type BasisRecord = Sealed<typeof BasisSchema>;

/** `nextOffset` is spelled out, because the offset **of** a record (eb_ref) passed here would be one too low. */
export interface Progress {
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: Offset;
}

export type BasisOrder = 'EQUAL' | 'BEFORE' | 'AFTER' | 'CONCURRENT';

const ZERO = 0 as Offset;
const records = validatorOf(BasisSchema, 'the basis');

/**
 * Nothing applied yet of any of these topics.
 * @throws ProbityError VALUE_INVALID for no topics or names that are none
 */
export function emptyBasis(topics: readonly string[]): Basis {
  if (topics.length === 0) throw new ProbityError('VALUE_INVALID', 'a basis is about one topic at least');
  return basisOf(Object.fromEntries(topics.map((topic) => [asTopicName(topic), {}])));
}

export function topicsOf(basis: Basis): readonly string[] {
  return Object.keys(basis.topics);
}

/** @throws ProbityError BASIS_INCOMPARABLE when the basis is not about this topic */
export function nextOffset(basis: Basis, topic: string, partition: number): Offset {
  return partitionsOf(basis, topic)[String(partition)] ?? ZERO;
}

/**
 * Whether the record has been applied: its offset lies below the next one.
 * @throws ProbityError BASIS_INCOMPARABLE when the basis is not about its topic: "no" would make a waiter wait for ever
 */
export function covers(basis: Basis, record: EbRef): boolean {
  return record.offset < nextOffset(basis, record.topic, record.partition);
}

/**
 * The basis after some progress. Standing still is progress of zero.
 * @throws ProbityError BASIS_REGRESSED when a partition would go back, BASIS_INCOMPARABLE for a foreign topic,
 * VALUE_INVALID for a partition that is none
 */
export function advance(basis: Basis, progress: readonly Progress[]): Basis {
  const moved = new Map<string, Record<string, Offset>>();
  for (const { topic, partition, nextOffset: next } of progress) {
    if (!Number.isInteger(partition) || partition < 0) {
      throw new ProbityError('VALUE_INVALID', 'a partition is a whole number from 0');
    }
    const offsets = moved.get(topic) ?? { ...partitionsOf(basis, topic) };
    const standing = offsets[partition] ?? ZERO;
    if (next < standing) {
      throw new ProbityError(
        'BASIS_REGRESSED',
        `${topic}/${partition} stands at ${standing} and cannot go to ${next}`,
        {
          data: { topic, partition, standing, next },
        },
      );
    }
    offsets[partition] = next;
    moved.set(topic, offsets);
  }
  return basisOf({ ...basis.topics, ...Object.fromEntries(moved) });
}

/** Per-partition maximum. @throws ProbityError BASIS_INCOMPARABLE for bases of different topics */
export function joinBases(a: Basis, b: Basis): Basis {
  return combine(a, b, Math.max);
}

/** Per-partition minimum. @throws ProbityError BASIS_INCOMPARABLE for bases of different topics */
export function meetBases(a: Basis, b: Basis): Basis {
  return combine(a, b, Math.min);
}

/**
 * Where `a` stands as seen from `b`. CONCURRENT: each has applied something that the other has not.
 * @throws ProbityError BASIS_INCOMPARABLE for bases of different topics
 */
export function compareBases(a: Basis, b: Basis): BasisOrder {
  const pairs = partitionPairs(a, b);
  const before = pairs.some(({ left, right }) => left < right);
  const after = pairs.some(({ left, right }) => left > right);
  if (before) return after ? 'CONCURRENT' : 'BEFORE';
  return after ? 'AFTER' : 'EQUAL';
}

/**
 * The part of a basis that is about these topics, for comparing it with one that knows no others.
 * @throws ProbityError BASIS_INCOMPARABLE when it is not about one of them
 */
export function restrictBasis(basis: Basis, topics: readonly string[]): Basis {
  return basisOf(Object.fromEntries(topics.map((topic) => [topic, partitionsOf(basis, topic)])));
}

/** Equal bases have equal digests, in whatever order their partitions came. */
export function basisDigest(basis: Basis): Digest {
  return digestCanonical({ recipe: 'rails.basis.v1', topics: basis.topics });
}

/** The basis with its digest, to be stored and cited. */
export function basisRecord(basis: Basis): BasisRecord {
  return { basis_digest: basisDigest(basis), topics: basis.topics };
}

/** @throws ProbityError VALUE_INVALID for another shape, and when the digest is not the one of the offsets */
export function asBasis(value: unknown): Basis {
  const record = records.demand(value);
  const basis = basisOf(record.topics);
  if (basisDigest(basis) !== record.basis_digest) {
    throw new ProbityError('VALUE_INVALID', 'the basis has other offsets than those that its digest names');
  }
  return basis;
}

function combine(a: Basis, b: Basis, choose: (left: number, right: number) => number): Basis {
  const topics: Record<string, Record<string, Offset>> = Object.fromEntries(topicsOf(a).map((topic) => [topic, {}]));
  for (const { topic, partition, left, right } of partitionPairs(a, b)) {
    (topics[topic] ??= {})[partition] = choose(left, right) as Offset;
  }
  return basisOf(topics);
}

interface PartitionPair {
  readonly topic: string;
  readonly partition: string;
  readonly left: Offset;
  readonly right: Offset;
}

/** Every partition that either names, with where it stands in both. */
function partitionPairs(a: Basis, b: Basis): readonly PartitionPair[] {
  demandSameTopics(a, b);
  return topicsOf(a).flatMap((topic) => {
    const left = partitionsOf(a, topic);
    const right = partitionsOf(b, topic);
    return [...new Set([...Object.keys(left), ...Object.keys(right)])].map((partition) => ({
      topic,
      partition,
      left: left[partition] ?? ZERO,
      right: right[partition] ?? ZERO,
    }));
  });
}

function demandSameTopics(a: Basis, b: Basis): void {
  const left = topicsOf(a);
  if (left.length === topicsOf(b).length && left.every((topic) => Object.hasOwn(b.topics, topic))) return;
  throw new ProbityError(
    'BASIS_INCOMPARABLE',
    `one basis is of ${left.join(', ')}, the other of ${topicsOf(b).join(', ')}`,
  );
}

function partitionsOf(basis: Basis, topic: string): { readonly [partition: string]: Offset } {
  const offsets = Object.hasOwn(basis.topics, topic) ? basis.topics[topic] : undefined;
  if (offsets !== undefined) return offsets;
  throw new ProbityError('BASIS_INCOMPARABLE', `the basis is of ${topicsOf(basis).join(', ')}, not of ${topic}`);
}

/** The one form: zeros left out. */
function basisOf(topics: BasisOffsets): Basis {
  const byName = Object.entries(topics).sort(([a], [b]) => (a < b ? -1 : 1));
  const kept = byName.map(([topic, offsets]): [string, BasisOffsets[string]] => [
    topic,
    Object.freeze(Object.fromEntries(Object.entries(offsets).filter(([, offset]) => offset > 0))),
  ]);
  return Object.freeze({ topics: Object.freeze(Object.fromEntries(kept)) }) as Basis;
}
