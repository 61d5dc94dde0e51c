import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { validatorOf } from '../../rails/validator.js';
import { STORE_POLICY, type StorePolicy, StoreSchema } from './label-store.policy.js';

const shipped = (profile: string): StorePolicy =>
  (parse(readFileSync(`profiles/${profile}/policy/labels.store.yaml`, 'utf8')) as { body: StorePolicy }).body;
const faultsOf = (body: object): readonly string[] =>
  (STORE_POLICY.check?.(body as never) ?? []).map(({ pointer, sentence }) => `${pointer} ${sentence}`);

describe('the policy of the label store', () => {
  const body = shipped('local');
  const [first] = body.writers;
  const writer = { ...first, namespace: 'other', may_act_for_people: false, principals: ['HUMAN::ann'] };
  const feed = {
    feed_id: 'network',
    namespace: 'other',
    run_equivalence_key: 'live',
    secret: { env: 'X' },
    tolerance_s: 300,
    mapping: {
      target: { event_id: 'e' },
      handle: 'h',
      label_type: 'fraud_disposition',
      label_value: { constant: 'FRAUD_CONFIRMED' },
    },
  };

  it.each(['local', 'dev', 'prod'])('is sound as %s ships it', (profile) => {
    expect(validatorOf(StoreSchema, 'the policy').check(shipped(profile))).toMatchObject({ ok: true });
    expect(faultsOf(shipped(profile))).toEqual([]);
  });

  it.each<[string, object, string]>([
    ['a writer of the world’s labels', { writers: [{ ...writer, namespace: 'world' }] }, '/writers/0/namespace'],
    ['a namespace twice', { writers: [writer, writer] }, '/writers/1/namespace stands here twice'],
    ['a type of no vocabulary', { writers: [{ ...writer, label_types: ['gossip'] }] }, 'gossip is no type'],
    ['a machine as a person', { writers: [{ ...writer, principals: ['SYSTEM::bot'] }] }, 'SYSTEM::bot is no person'],
    ['a feed whose writer does not know it', { writers: [writer], feeds: [feed] }, 'SYSTEM::feed.network'],
    ['a feed twice', { feeds: [feed, feed] }, '/feeds/1/feed_id stands here twice'],
    [
      'a default that is no rule',
      { resolution: { ...body.resolution, default_rule: 'guess' } },
      'no rule is called guess',
    ],
    [
      'a rule twice',
      { resolution: { ...body.resolution, rules: [...body.resolution.rules, ...body.resolution.rules] } },
      'strict stands here twice',
    ],
  ])('names %s', (_, change, words) => {
    expect(faultsOf({ ...body, ...change }).join('\n')).toContain(words);
  });
});
