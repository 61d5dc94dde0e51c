import { Type } from '@sinclair/typebox';
import { closed, type Sealed } from '../../rails/schema.js';
import type { PolicyKind } from '../../substrate/policy/policy.port.js';

export const AuditPolicySchema = closed(
  {
    /** A checkpoint is signed after so many leaves … */
    checkpoint_leaves_max: Type.Integer({ minimum: 1, maximum: 100_000 }),
    /** … or so long after the first that has none. */
    checkpoint_wait_ms: Type.Integer({ minimum: 10, maximum: 600_000 }),
  },
  { description: 'How often the audit log is signed.' },
);
export type AuditPolicy = Sealed<typeof AuditPolicySchema>;

export const AUDIT_POLICY: PolicyKind<typeof AuditPolicySchema> = { policy_id: 'dla.audit', schema: AuditPolicySchema };
