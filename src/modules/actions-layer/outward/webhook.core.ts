import { canonicalJson } from '../../../rails/canonical-json.js';
import type { TakenIntent } from '../outcome.core.js';

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
