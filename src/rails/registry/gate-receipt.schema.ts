import { Type } from '@sinclair/typebox';
import { DigestSchema } from '../digest.js';
import { ReasonCodeSchema } from '../events/decision.schema.js';
import { PolicyRevSchema } from '../policy-rev.js';
import { closed, type Sealed } from '../schema.js';
import { UtcMicrosSchema } from '../time.js';

/**
 * What the gates before publication said of a bundle: each criterion with what was observed and what was demanded. It binds the bundle by its
 * digest; FAIL is an ordinary result, and is kept.
 */
export const ModelGateReceiptSchema = closed(
  {
    bundle_digest: DigestSchema,
    result: Type.Union([Type.Literal('PASS'), Type.Literal('FAIL')]),
    criteria: Type.Array(
      closed({
        name: Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
        observed: Type.Union([Type.Number(), Type.String({ maxLength: 200 })]),
        demanded: Type.String({ maxLength: 200 }),
        passed: Type.Boolean(),
      }),
      { minItems: 1, maxItems: 64 },
    ),
    reason_codes: Type.Array(ReasonCodeSchema, { maxItems: 64 }),
    policy_rev: PolicyRevSchema,
    /** The datasets that were judged on, by the digests of their manifests. */
    dataset_manifests: Type.Array(DigestSchema, { minItems: 1, maxItems: 16 }),
    decided_at_utc: UtcMicrosSchema,
  },
  { description: 'Whether a bundle may be put forward, criterion by criterion.' },
);
export type ModelGateReceipt = Sealed<typeof ModelGateReceiptSchema>;
