import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type JsonValue } from './canonical-json.js';
import { digestText } from './digest.js';
import { asPolicyRev, policyDigest, sealPolicy, verifyPolicy } from './policy-rev.js';

const body = { allow: ['wsp'], limits: { per_s: 100 } };
const sealed = sealPolicy('ig.admission', 3, body);

describe('a sealed policy', () => {
  it('carries the digest of id, revision and body', () => {
    expect(sealed.policy_rev).toEqual({
      policy_id: 'ig.admission',
      revision: 3,
      content_digest: digestText(
        '{"body":{"allow":["wsp"],"limits":{"per_s":100}},"policy_id":"ig.admission","revision":3}',
      ),
    });
    expect(asPolicyRev(JSON.parse(JSON.stringify(sealed.policy_rev)))).toEqual(sealed.policy_rev);
  });

  it('verifies, whatever the order of its keys', () => {
    expect(verifyPolicy(sealed)).toEqual({ ok: true });
    expect(verifyPolicy({ ...sealed, body: { limits: { per_s: 100 }, allow: ['wsp'] } })).toEqual({ ok: true });
  });

  it.each([
    ['another body', { ...sealed, body: { ...body, allow: ['wsp', 'mallory'] } }],
    ['another revision', { ...sealed, policy_rev: { ...sealed.policy_rev, revision: 4 } }],
    [
      'another policy',
      {
        ...sealed,
        policy_rev: {
          ...sealed.policy_rev,
          policy_id: asPolicyRev({ ...sealed.policy_rev, policy_id: 'al.allow' }).policy_id,
        },
      },
    ],
  ])('with %s does not verify, and both digests are named', (_name, policy) => {
    const verdict = verifyPolicy(policy);
    expect(verdict).toEqual({
      ok: false,
      claimed: sealed.policy_rev.content_digest,
      found: policyDigest({ ...policy.policy_rev, body: policy.body }),
    });
  });

  it('does not verify after any change of its body', () => {
    const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as JsonValue);
    fc.assert(
      fc.property(json, json, (one, other) => {
        const same = policyDigest({ policy_id: 'p', revision: 1, body: one });
        const policy = { ...sealPolicy('p', 1, one), body: other };
        expect(verifyPolicy(policy).ok).toBe(same === policyDigest({ policy_id: 'p', revision: 1, body: other }));
        expect(verifyPolicy(sealPolicy('p', 1, other)).ok).toBe(true);
      }),
    );
  });

  it.each<[string, number]>([
    ['IG', 1],
    ['', 1],
    ['ig..admission', 1],
    ['ig.admission', 0],
    ['ig.admission', 1.5],
  ])('is not %j revision %s', (policyId, revision) => {
    expect(() => sealPolicy(policyId, revision, {})).toThrow('VALUE_INVALID');
  });

  it('has a body that is JSON', () => {
    expect(() => sealPolicy('p', 1, { n: Number.NaN })).toThrow('CANONICAL_FORM_INVALID');
  });
});
