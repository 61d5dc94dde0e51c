import { Type } from '@sinclair/typebox';
import { closed } from '../../rails/schema.js';
import type { PolicyKind } from '../../substrate/policy/policy.port.js';

/** What a run must prove before it is READY, and how long it may take. */
export const RunGatesPolicySchema = closed({
  /** Gates whose PASS every output of a run needs. */
  required_gates: Type.Array(Type.String({ pattern: '^[a-z][a-z0-9_-]*([.][a-z0-9][a-z0-9_-]*)*$' }), { minItems: 1 }),
  attempts_max: Type.Integer({ minimum: 1, maximum: 100 }),
  engine_timeout_ms: Type.Integer({ minimum: 1_000 }),
  evidence_deadline_ms: Type.Integer({ minimum: 100 }),
});

export const RUN_GATES_POLICY: PolicyKind<typeof RunGatesPolicySchema> = {
  policy_id: 'sr.gates',
  schema: RunGatesPolicySchema,
};
