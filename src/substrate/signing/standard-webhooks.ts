import { createHmac, timingSafeEqual } from 'node:crypto';

/** Messages between systems, signed as Standard Webhooks (standardwebhooks.com, 1.0.0) says: HMAC-SHA-256 over id, time and body. */

/** As long as the specification wants a key to be, in bytes. */
const KEY_BYTES = { min: 24, max: 64 } as const;

/** `webhook-timestamp` is in seconds since 1970. */
export type SignedHeaders = Readonly<Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string>>;

/** @returns the key of `whsec_<base64>`, or null where the text is none; the text itself is told to nobody */
export function webhookKey(secret: string): Buffer | null {
  const encoded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret)?.[1];
  if (encoded === undefined) return null;
  const key = Buffer.from(encoded, 'base64');
  return key.length >= KEY_BYTES.min && key.length <= KEY_BYTES.max ? key : null;
}

/** @param atSeconds time of this sending; the id stays the same over all attempts */
export function webhookHeaders(id: string, atSeconds: number, body: string, key: Buffer): SignedHeaders {
  const signature = signatureOf(id, String(atSeconds), Buffer.from(body), key).toString('base64');
  return { 'webhook-id': id, 'webhook-timestamp': String(atSeconds), 'webhook-signature': `v1,${signature}` };
}

/** Why a message is not what the holder of the key sent lately; undefined where it is. */
export function webhookFault(
  headers: Readonly<Record<string, unknown>>,
  body: Buffer,
  { key, nowMs, toleranceS }: { readonly key: Buffer; readonly nowMs: number; readonly toleranceS: number },
): string | undefined {
  const [id, time, signatures] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => headers[name]);
  if (typeof id !== 'string' || typeof time !== 'string' || typeof signatures !== 'string')
    return 'webhook-id, webhook-timestamp and webhook-signature are needed';
  if (!/^[0-9]{1,12}$/.test(time)) return 'webhook-timestamp is seconds since 1970';
  const expected = signatureOf(id, time, body, key);
  // While a secret is replaced, a message carries a signature by each.
  const known = signatures.split(' ').some((signature) => {
    const [version, encoded = ''] = signature.split(',');
    const given = Buffer.from(encoded, 'base64');
    return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected);
  });
  if (!known) return 'no signature of version v1 fits';
  // After the signature: what a stranger wrote there says nothing.
  if (Math.abs(nowMs / 1_000 - Number(time)) > toleranceS) return `it was signed more than ${toleranceS} s from now`;
  return undefined;
}

function signatureOf(id: string, seconds: string, body: Buffer, key: Buffer): Buffer {
  return createHmac('sha256', key).update(`${id}.${seconds}.`).update(body).digest();
}
