import { Type } from '@sinclair/typebox';
import { type Brand } from './brand.js';
import { canonicalJson } from './canonical-json.js';
import { DigestSchema, type Digest } from './digest.js';
import { ProbityError } from './errors/probity-error.js';
import { RefSchema, type Ref } from './ref.js';
import { brandedText, closed, type Sealed } from './schema.js';
import { validatorOf } from './validator.js';

/** Names the check that an artifact went through: `engine.output`, `registry.bundle`. */
export type GateId = Brand<string, 'GateId'>;

export const GateReceiptSchema = closed(
  {
    gate_id: brandedText<GateId>({
      pattern: '^[a-z][a-z0-9_-]*([.][a-z0-9][a-z0-9_-]*)*$',
      maxLength: 100,
      description: 'names the check',
    }),
    status: Type.Union([Type.Literal('PASS'), Type.Literal('FAIL')]),
    scope: Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }), Type.String({ maxLength: 200 }), {
      description: 'what the artifact is a part of: the tokens of its identity (pins, output id, bundle id …)',
      minProperties: 1,
      additionalProperties: false,
    }),
    artifact_digest: DigestSchema,
    evidence: Type.Array(RefSchema, { description: 'what the verdict stands on' }),
    reason_codes: Type.Array(Type.String({ pattern: '^[A-Z][A-Z0-9_]*$', maxLength: 100 })),
  },
  { description: 'Whether an artifact may be read (law R3), about exactly these bytes in exactly this scope.' },
);

/** Whether an artifact may be read (law R3), about exactly these bytes in exactly this scope. */
export type GateReceipt = Sealed<typeof GateReceiptSchema>;
export type GateScope = GateReceipt['scope'];

/** A thing that a PASS receipt has opened. Readers take this instead of a bare ref: reading without a gate does not compile. */
export type Readable<Thing> = Brand<Thing, 'Readable'>;

/** Why a gate stays shut, in the order in which it is looked for. */
export type GateFailure = 'MISSING' | 'OTHER_GATE' | 'OTHER_SCOPE' | 'FAIL' | 'TAMPERED';

export interface GateDemand {
  readonly gate_id: string;
  readonly scope: GateScope;
}

const receipts = validatorOf(GateReceiptSchema, 'the gate receipt');

const SENTENCES: Readonly<Record<GateFailure, string>> = {
  MISSING: 'there is no gate receipt',
  OTHER_GATE: 'the receipt is of another gate',
  OTHER_SCOPE: 'the receipt is about another scope',
  FAIL: 'the receipt does not say PASS',
  TAMPERED: 'the receipt is about other bytes than those of the artifact',
};

/** @throws ProbityError VALUE_INVALID that names the place */
export function asGateReceipt(value: unknown): GateReceipt {
  return receipts.demand(value);
}

/** Why the receipt does not open the artifact, or null when it does. For verdicts that collect instead of throwing. */
export function gateFailure(
  receipt: GateReceipt | null | undefined,
  artifactDigest: Digest,
  demand: GateDemand,
): GateFailure | null {
  if (receipt === null || receipt === undefined) return 'MISSING';
  if (receipt.gate_id !== demand.gate_id) return 'OTHER_GATE';
  // Canonical text, so that {a, b} and {b, a} are one scope, and a scope with fewer tokens is not the same as one with more.
  if (canonicalJson(receipt.scope) !== canonicalJson(demand.scope)) return 'OTHER_SCOPE';
  if (receipt.status !== 'PASS') return 'FAIL';
  return receipt.artifact_digest === artifactDigest ? null : 'TAMPERED';
}

/**
 * No PASS, no read (law R3). The digest of the ref is what the object store verifies at the read, so that the bytes read
 * are those that the receipt names.
 *
 * @throws ProbityError GATE_NOT_PASSED; `data.failure` is the GateFailure, `data.gate_id` and `data.locator` say of what
 */
export function demandPass(receipt: GateReceipt | null | undefined, artifact: Ref, demand: GateDemand): Readable<Ref> {
  const failure = gateFailure(receipt, artifact.digest.hex, demand);
  if (failure === null) return artifact as Readable<Ref>;
  throw new ProbityError('GATE_NOT_PASSED', `${SENTENCES[failure]} (gate ${demand.gate_id}, ${artifact.locator})`, {
    data: { failure, gate_id: demand.gate_id, locator: artifact.locator },
  });
}
