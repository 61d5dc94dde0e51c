import { Type } from '@sinclair/typebox';
import { defineRecipe } from '../../rails/identity-recipe.js';
import { validatorOf } from '../../rails/validator.js';
import { eventOf, isPlainObject, type Made, type Stamp, type TraceIds } from './transaction.core.js';

/** What we call our transaction in CloudEvents; the short name is for those who send to nobody else. */
export const CLOUD_EVENT_TYPES = ['com.probity.transaction.v1', 'transaction'] as const;

/** The strings of CloudEvents have no control characters and no halves of surrogate pairs. */
const TEXT = '^[^\\u0000-\\u001F\\u007F-\\u009F]+$';
const LONE_SURROGATE = /\p{Surrogate}/u;
/** The characters of a URI reference (RFC 3986), with a percent sign only before two hex digits. */
const URI_REFERENCE = "^([A-Za-z0-9._~:/?#@!$&'()*+,;=-]|\\[|\\]|%[0-9A-Fa-f]{2})+$";
const JSON_MEDIA_TYPE = '^[A-Za-z0-9!#$&^_.+-]+/([A-Za-z0-9!#$&^_.+-]+[+])?[Jj][Ss][Oo][Nn][ ]*(;.*)?$';

/** A CloudEvent 1.0 in its JSON format, as far as it can carry a transaction. */
export const CloudEventSchema = Type.Object(
  {
    specversion: Type.Literal('1.0'),
    id: Type.String({ minLength: 1, maxLength: 1_000, pattern: TEXT, description: 'unique under its source' }),
    source: Type.String({ minLength: 1, maxLength: 1_000, pattern: URI_REFERENCE, description: 'who sends: a URI' }),
    type: Type.Union(CLOUD_EVENT_TYPES.map((name) => Type.Literal(name))),
    time: Type.Optional(Type.String({ maxLength: 100, description: 'RFC 3339: when it happened' })),
    subject: Type.Optional(Type.String({ minLength: 1, maxLength: 1_000, pattern: TEXT })),
    dataschema: Type.Optional(Type.String({ minLength: 1, maxLength: 2_000, pattern: URI_REFERENCE })),
    datacontenttype: Type.Optional(
      Type.String({ maxLength: 200, pattern: JSON_MEDIA_TYPE, description: 'application/json unless given' }),
    ),
    data: Type.Unsafe<unknown>({ description: 'a transaction' }),
  },
  {
    description:
      'A CloudEvent 1.0 in JSON that carries a transaction. Extension attributes are allowed and passed over.',
    propertyNames: { pattern: '^[a-z0-9]+$' },
    additionalProperties: Type.Union([Type.String(), Type.Boolean(), Type.Integer()]),
  },
);

const cloudEvents = validatorOf(CloudEventSchema, 'the CloudEvent');

const eventIds = defineRecipe<{ producer: string; source: string; id: string }, 'EventId'>('edge.cloudevent', 1, {
  producer: true,
  source: true,
  id: true,
});

/** CloudEvents says that source and id together name an event: a second one with both is the first, sent again. */
export function cloudEventIdOf(producer: string, source: string, id: string): string {
  return eventIds.derive({ producer, source, id });
}

/** The envelope of the transaction that a CloudEvent carries. Its own trace, where it has one, goes before the request's. */
export function eventOfCloudEvent(value: unknown, stamp: Stamp, trace: TraceIds | undefined): Made {
  if (!isPlainObject(value)) return invalid('', 'must be a JSON object');
  // The JSON format lets a sender write null for an attribute that it leaves out; data may be null on purpose.
  const given = Object.fromEntries(
    Object.entries(value).filter(([name, member]) => member !== null || name === 'data'),
  );
  if ('data_base64' in given) return invalid('/data_base64', 'carries bytes: send the transaction as JSON under data');
  const verdict = cloudEvents.check(given);
  if (!verdict.ok) return invalid(verdict.fault.at, verdict.fault.says);
  const { id, source, time, data } = verdict.value;
  if (LONE_SURROGATE.test(id)) return invalid('/id', 'has half of a surrogate pair');
  return eventOf(data, stamp, traceOf(given['traceparent']) ?? trace, {
    at: '/data',
    event_id: cloudEventIdOf(stamp.producer, source, id),
    ...(time === undefined ? {} : { time: { text: time, at: '/time' } }),
  });
}

export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

export const isBinaryMode = (headers: Headers): boolean => headers['ce-specversion'] !== undefined;

/** Binary mode: the attributes stand in headers with `ce-` before them, the body is the data. */
export function cloudEventOfHeaders(headers: Headers, data: unknown): Readonly<Record<string, unknown>> {
  const attributes: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith('ce-') && typeof value === 'string') attributes[name.slice(3)] = decoded(value);
  }
  const mediaType = headers['content-type'];
  return { ...attributes, ...(typeof mediaType === 'string' ? { datacontenttype: mediaType } : {}), data };
}

/** Headers are ASCII, so that CloudEvents sends everything else percent-encoded. */
function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** A malformed trace is no reason to refuse a payment: it is passed over, as the W3C text says. */
function traceOf(value: unknown): TraceIds | undefined {
  const match = typeof value === 'string' ? /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/.exec(value) : null;
  const [, trace_id, span_id] = match ?? [];
  if (trace_id === undefined || span_id === undefined || /^0+$/.test(trace_id) || /^0+$/.test(span_id))
    return undefined;
  return { trace_id, span_id };
}

function invalid(at: string, says: string): Made {
  return { ok: false, fault: { code: 'EDGE_CLOUDEVENT_INVALID', at, says } };
}
