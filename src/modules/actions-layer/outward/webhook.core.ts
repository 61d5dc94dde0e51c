import { createHmac } from 'node:crypto';
import { canonicalJson } from '../../../rails/canonical-json.js';
import type { TakenIntent } from '../outcome.core.js';

/** As long as the Standard Webhooks specification wants a key to be, in bytes. */
const KEY_BYTES = { min: 24, max: 64 } as const;

/** The message of an intent, the same bytes at every attempt: what the receiver needs to act, and nothing else. */
export function webhookBody({ pins, tsUtc, intent }: Pick<TakenIntent, 'pins' | 'tsUtc' | 'intent'>): string {
  return canonicalJson({
    type: `action.${intent.action_domain}`,
    timestamp: tsUtc,
    data: {
      idempotency_key: intent.idempotency_key,
      run_id: pins.run_id,
      decision_id: intent.decision_id,
      action_domain: intent.action_domain,
      action_type: intent.action_type,
      scope: intent.scope,
      target: intent.target,
      outcome: intent.outcome,
      reason_codes: intent.reason_codes,
    },
  });
}

/** @returns the key of `whsec_<base64>`, or null where the text is none; the text itself is told to nobody */
export function webhookKey(secret: string): Buffer | null {
  const encoded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret)?.[1];
  if (encoded === undefined) return null;
  const key = Buffer.from(encoded, 'base64');
  return key.length >= KEY_BYTES.min && key.length <= KEY_BYTES.max ? key : null;
}

/**
 * Headers of Standard Webhooks (standardwebhooks.com, 1.0.0): the id is the effect's own name, the time that of the attempt in seconds, and the
 * signature covers both and the body.
 */
export function webhookHeaders(
  id: string,
  atSeconds: number,
  body: string,
  key: Buffer,
): Readonly<Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string>> {
  const signature = createHmac('sha256', key).update(`${id}.${atSeconds}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': String(atSeconds), 'webhook-signature': `v1,${signature}` };
}
