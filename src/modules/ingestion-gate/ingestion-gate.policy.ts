import type { PolicyKind } from '../../substrate/policy/policy.port.js';
import { AdmissionPolicySchema } from './ingestion-gate.port.js';

export const ADMISSION_POLICY: PolicyKind<typeof AdmissionPolicySchema> = {
  policy_id: 'ig.admission',
  schema: AdmissionPolicySchema,
};
