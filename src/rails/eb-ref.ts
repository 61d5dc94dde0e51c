import { Type } from '@sinclair/typebox';
import { type Brand } from './brand.js';
import { ProbityError } from './errors/probity-error.js';
import { brandedText, closed, safeInteger, type Sealed } from './schema.js';
import { validatorOf } from './validator.js';

/** `fp.bus.traffic.v1`: a name that every bus takes. */
export type TopicName = Brand<string, 'TopicName'>;

/** Where a record stands in its partition: a whole number from 0 to 2^53 − 1; offsets rise and may have gaps. */
export type Offset = Brand<number, 'Offset'>;

/** 249 is Kafka's own limit: file names of 255 bytes, less the partition number. */
const TOPIC = '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,248}$';
const TOPIC_FORM = new RegExp(TOPIC);

export const TopicNameSchema = brandedText<TopicName>({ pattern: TOPIC, description: 'name of a topic' });
export const PartitionSchema = Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 });
export const OffsetSchema = Type.Unsafe<Offset>(safeInteger(0, 'offset within the partition'));

export const EbRefSchema = closed(
  { topic: TopicNameSchema, partition: PartitionSchema, offset: OffsetSchema },
  { description: 'Names the one record of the event bus that stands at this offset.' },
);

/** Names one record of the event bus: the one that stands **at** this offset (a basis names the one after). */
export type EbRef = Sealed<typeof EbRefSchema>;

const ebRefs = validatorOf(EbRefSchema, 'the eb_ref');

/** @throws ProbityError VALUE_INVALID */
export function asTopicName(text: string): TopicName {
  if (!TOPIC_FORM.test(text)) {
    throw new ProbityError('VALUE_INVALID', 'a topic name is 1 to 249 letters, digits, dots, dashes, underscores');
  }
  return text as TopicName;
}

/**
 * Also takes what drivers give: BigInt and decimal text.
 * @throws ProbityError VALUE_INVALID for what is not a whole number from 0 to 2^53 − 1
 */
export function asOffset(value: number | bigint | string): Offset {
  const offset = typeof value === 'string' && !/^(0|[1-9][0-9]{0,15})$/.test(value) ? Number.NaN : Number(value);
  if (!Number.isSafeInteger(offset) || offset < 0 || Object.is(offset, -0)) {
    throw new ProbityError('VALUE_INVALID', 'an offset is a whole number from 0 to 2^53 − 1');
  }
  return offset as Offset;
}

/** @throws ProbityError VALUE_INVALID that names the place */
export function asEbRef(value: unknown): EbRef {
  return ebRefs.demand(value);
}
