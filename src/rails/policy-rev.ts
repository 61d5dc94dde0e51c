import { Type } from '@sinclair/typebox';
import { type Brand } from './brand.js';
import { digestCanonical, type JsonValue } from './canonical-json.js';
import { DigestSchema, type Digest } from './digest.js';
import { brandedText, closed, safeInteger, type Sealed } from './schema.js';
import { validatorOf } from './validator.js';

/** `ig.admission`, `dl.thresholds`: what a policy is about, the same over all its revisions. */
export type PolicyId = Brand<string, 'PolicyId'>;

export const PolicyRevSchema = closed(
  {
    policy_id: brandedText<PolicyId>({
      pattern: '^[a-z][a-z0-9_-]*([.][a-z0-9][a-z0-9_-]*)*$',
      maxLength: 100,
      description: 'what the policy is about, the same over all its revisions',
    }),
    revision: safeInteger(1, 'rises with each change, never used twice'),
    content_digest: DigestSchema,
  },
  { description: 'What was done under a policy cites id, revision and content (law C1).' },
);

/** What was done under a policy cites all three (law C1): the revision alone would trust that nobody edited it in place. */
export type PolicyRev = Sealed<typeof PolicyRevSchema>;

/** A policy together with the revision that it claims to be. */
export interface SealedPolicy<Body extends JsonValue = JsonValue> {
  readonly policy_rev: PolicyRev;
  readonly body: Body;
}

const IdentitySchema = Type.Pick(PolicyRevSchema, ['policy_id', 'revision'], { additionalProperties: false });
const identities = validatorOf(IdentitySchema, 'the policy');
const policyRevs = validatorOf(PolicyRevSchema, 'the policy revision');

/** A policy before its digest is taken; other members, such as an earlier digest, are left out of it. */
export interface PolicyContent {
  readonly policy_id: string;
  readonly revision: number;
  readonly body: unknown;
}

/**
 * The digest over canonical JSON of {policy_id, revision, body}.
 * @throws ProbityError CANONICAL_FORM_INVALID
 */
export function policyDigest({ policy_id, revision, body }: PolicyContent): Digest {
  return digestCanonical({ policy_id, revision, body });
}

/**
 * Takes the digest of a policy. It covers id and revision as well as the body, so that a body cannot be passed off as
 * another policy or another revision of the same one.
 *
 * @throws ProbityError VALUE_INVALID for a malformed id or a revision below 1, CANONICAL_FORM_INVALID for the body
 */
export function sealPolicy<Body extends JsonValue>(policyId: string, revision: number, body: Body): SealedPolicy<Body> {
  const identity = identities.demand({ policy_id: policyId, revision });
  return { policy_rev: { content_digest: policyDigest({ ...identity, body }), ...identity }, body };
}

export type PolicyVerdict =
  { readonly ok: true } | { readonly ok: false; readonly claimed: Digest; readonly found: Digest };

/** Whether the body is the one that the revision's digest was taken of. */
export function verifyPolicy(policy: SealedPolicy): PolicyVerdict {
  const claimed = policy.policy_rev.content_digest;
  const found = policyDigest({ ...policy.policy_rev, body: policy.body });
  return found === claimed ? { ok: true } : { ok: false, claimed, found };
}

/** @throws ProbityError VALUE_INVALID that names the place */
export function asPolicyRev(value: unknown): PolicyRev {
  return policyRevs.demand(value);
}
