import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import type { JsonObject } from '../../rails/canonical-json.js';
import { sealPolicy } from '../../rails/policy-rev.js';
import { StaticPolicies } from '../../substrate/policy/policy.port.js';
import { CasePositions } from './case-positions.js';
import { CASES_POLICY } from './case-workbench.policy.js';
import type { CaseWorkbenchStore } from './case-workbench.store.js';

const { body } = parse(readFileSync('profiles/local/policy/cases.workbench.yaml', 'utf8')) as { body: JsonObject };
const policies = new StaticPolicies(new Map([[CASES_POLICY.policy_id, sealPolicy(CASES_POLICY.policy_id, 1, body)]]));
const positions = new CasePositions({} as CaseWorkbenchStore, policies);

const needs = (text: string): boolean => positions.needs({ key: null, headers: {}, value: Buffer.from(text) });
const event = (event_type: string, payload: JsonObject): string =>
  JSON.stringify({
    event_id: 'e-1',
    event_type,
    ...{ manifest_fingerprint: 'a'.repeat(64), parameter_hash: 'b'.repeat(64), seed: '7' },
    ...{ scenario_id: 'shop', run_id: 'c'.repeat(32) },
    payload,
    ts_utc: '2026-01-01T00:00:00.000000Z',
  });

describe('what is work for the case workbench', () => {
  it.each([
    ['a decision that somebody has to look at', event('decision', { outcome: 'QUEUE' }), true],
    ['a decision that nobody has to look at', event('decision', { outcome: 'APPROVE' }), false],
    ['an action that failed', event('action_outcome', { status: 'FAILED', origin: 'DECISION' }), true],
    ['an action that went well', event('action_outcome', { status: 'EXECUTED', origin: 'DECISION' }), false],
    [
      'an action that people asked for, however it went',
      event('action_outcome', { status: 'EXECUTED', origin: 'CASE' }),
      true,
    ],
    ['a payment', event('transaction', {}), false],
    ['what nobody can read', '{"half', false],
  ])('%s', (_, text, is) => {
    expect(needs(text)).toBe(is);
  });
});
