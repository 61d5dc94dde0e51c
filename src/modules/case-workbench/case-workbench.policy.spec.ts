import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { validatorOf } from '../../rails/validator.js';
import { CASES_POLICY, type CasesPolicy, CasesPolicySchema } from './case-workbench.policy.js';

const shipped = (profile: string): CasesPolicy =>
  (parse(readFileSync(`profiles/${profile}/policy/cases.workbench.yaml`, 'utf8')) as { body: CasesPolicy }).body;
const faultsOf = (body: object): readonly string[] =>
  (CASES_POLICY.check?.(body as never) ?? []).map(({ pointer, sentence }) => `${pointer} ${sentence}`);

describe('the policy of the case workbench', () => {
  const body = shipped('local');

  it.each(['local', 'dev', 'prod'])('is sound as %s ships it', (profile) => {
    expect(validatorOf(CasesPolicySchema, 'the policy').check(shipped(profile))).toMatchObject({ ok: true });
    expect(faultsOf(shipped(profile))).toEqual([]);
  });

  it('names a trigger that leads into no queue', () => {
    const { review: _review, ...queues } = body.queues;
    expect(faultsOf({ ...body, queues })).toEqual([
      '/triggers/DECISION_ESCALATION/queue no queue is called review',
      '/triggers/MANUAL_ASSERTION/queue no queue is called review',
    ]);
  });

  it('names findings of two types of labels, of which none could take the place of another', () => {
    const odd = { label: { label_type: 'account_takeover', label_value: 'ATO_CONFIRMED' } };
    expect(faultsOf({ ...body, dispositions: { ...body.dispositions, ODD: odd } })).toEqual([
      '/dispositions labels of one type alone, not of fraud_disposition and account_takeover',
    ]);
  });
});
