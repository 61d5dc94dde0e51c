import { Type } from '@sinclair/typebox';
import { closed, type Sealed } from '../../../rails/schema.js';
import { type SecretRef, SecretRefSchema } from '../../../substrate/secrets/secrets.port.js';

const millis = (maximum: number, description: string) => Type.Integer({ minimum: 1, maximum, description });

/** Where a value stands: here, or in a place that only the running process can read. */
const UrlSchema = Type.Union([Type.String({ pattern: '^https?://[!-~]{1,2000}$' }), SecretRefSchema]);

export const TargetSchema = closed(
  {
    /** By reference where the address itself lets people in, as those of chats do. */
    url: UrlSchema,
    /** Asked with `{key}` for the idempotency key before anything is sent again: 200 it was done, 404 it was not. */
    status_url: Type.Optional(UrlSchema),
    /** `whsec_` and 24 to 64 bytes in base64, by reference alone. */
    secret: SecretRefSchema,
    /**
     * Whether it takes `webhook-id` as the name of the effect and does nothing twice under one name. One that does not is denied: an answer that
     * is lost could not be followed by another attempt.
     */
    deduplicates: Type.Boolean(),
    /** Loopback, private and link-local addresses: off unless the target stands in one's own network. */
    allow_private: Type.Boolean(),
    allow_plain_http: Type.Boolean(),
    timeout_ms: millis(60_000, 'from the connection to the first byte of the answer'),
    /** Attempts under way at once, of each process. */
    concurrency_max: Type.Integer({ minimum: 1, maximum: 256 }),
    retry: closed({
      attempts_max: Type.Integer({ minimum: 1, maximum: 50 }),
      first_wait_ms: millis(3_600_000, 'the longest wait after the first attempt; each further one doubles it'),
      wait_max_ms: millis(86_400_000, 'the longest wait at all'),
      give_up_after_s: Type.Integer({ minimum: 1, maximum: 2_592_000 }),
    }),
    breaker: closed({
      /** How many attempts are looked back at. */
      window: Type.Integer({ minimum: 2, maximum: 1_000 }),
      /** Share of them, in percent, that failed when it opens. */
      failures_pct: Type.Integer({ minimum: 1, maximum: 100 }),
      open_ms: millis(3_600_000, 'nothing is sent for so long; then one attempt decides'),
    }),
  },
  { description: 'Somebody outside who is told, or who carries something out.' },
);
export type Target = Sealed<typeof TargetSchema>;

/** By name; the action type `webhook.<name>` goes there. */
export const TargetsSchema = Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]{0,39}$' }), TargetSchema, {
  maxProperties: 50,
  additionalProperties: false,
});

export interface TargetFault {
  readonly pointer: string;
  readonly sentence: string;
}

/** What a schema cannot see of the targets. */
export function targetFaults(targets: Readonly<Record<string, Target>>): readonly TargetFault[] {
  return Object.entries(targets).flatMap(([name, target]) =>
    (['url', 'status_url'] as const).flatMap((field) => {
      const value = target[field];
      if (value === undefined || typeof value !== 'string') return [];
      const pointer = `/targets/${name}/${field}`;
      return urlFaults(value, target, field).map((sentence) => ({ pointer, sentence }));
    }),
  );
}

/** Also asked at run time of an address that came by reference. */
export function urlFaults(
  text: string,
  { allow_plain_http }: Pick<Target, 'allow_plain_http'>,
  field: 'url' | 'status_url',
): readonly string[] {
  const faults: string[] = [];
  const sample = text.replaceAll('{key}', 'key');
  if (!URL.canParse(sample)) return ['this is not an address'];
  const { protocol, username, password } = new URL(sample);
  if (protocol !== 'https:' && !(protocol === 'http:' && allow_plain_http))
    faults.push('only https is spoken here; allow_plain_http: true lets http pass');
  if (username !== '' || password !== '') faults.push('an address holds no user and no password');
  if (field === 'status_url' && !text.includes('{key}')) faults.push('{key} must stand where the idempotency key goes');
  if (field === 'url' && text.includes('{key}')) faults.push('{key} stands in status_url alone');
  return faults;
}

/** A text of the policy, or what stands where it refers to. */
export function resolved(value: string | SecretRef, read: (ref: SecretRef) => string): string {
  return typeof value === 'string' ? value : read(value);
}
