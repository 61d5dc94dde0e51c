import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { ANONYMOUS_ACTOR, systemActor } from './actor.js';
import { advance, basisRecord, emptyBasis } from './basis.js';
import { unrestricted } from './capability-mask.js';
import { contractFileName, contractText, RAILS_CONTRACTS } from './contracts.js';
import { digestText } from './digest.js';
import { asOffset } from './eb-ref.js';
import { money } from './money.js';
import { TransactionSchema } from './events/transaction.schema.js';
import { NO_WORLD } from './pins.js';
import { sealPolicy } from './policy-rev.js';
import { objectKey, refTo } from './ref.js';

const FOLDER = new URL('../../contracts/', import.meta.url);

const ref = refTo(objectKey('ig/a.json'), digestText('{}'), 2, 'application/json');
const envelope = {
  event_id: 'e-1',
  event_type: 'transaction',
  ts_utc: '2018-04-01T00:00:31.000000Z',
  manifest_fingerprint: 'a'.repeat(64),
  seed: '18446744073709551615',
};

const payment = { transaction_id: 't-1', amount_minor: 1230, currency: 'EUR', account_id: 'a-1' };
const everything = {
  transaction_type: 'purchase',
  channel: 'ecommerce',
  entry_mode: 'three_ds',
  card_id: 'card-1',
  customer_id: 'c-1',
  beneficiary_account_id: 'a-2',
  device_id: 'd-1',
  ip_address: '2001:db8::1',
  email_hash: digestText('a'),
  phone_hash: digestText('b'),
  billing_address_id: 'ba-1',
  shipping_address_id: 'sa-1',
  merchant_id: 'm-1',
  terminal_id: 't-1',
  mcc: '5411',
  country: 'DE',
  city: 'Berlin',
  latitude_e6: 52_520_008,
  longitude_e6: -180_000_000,
  source: { output_id: 'transactions', row: 0 },
};

const planned = {
  action_domain: 'txn_disposition',
  action_type: 'record',
  action_key: 'primary',
  idempotency_key: digestText('k'),
  target: { type: 'transaction', id: 't-1' },
};
const decision = {
  decision_id: digestText('d'),
  scope: 'payment',
  entity_key: 'card-1',
  outcome: 'DECLINE',
  reason_codes: ['COUNTRY_BLOCKED'],
  source_event: {
    event_id: 'e-1',
    event_type: 'transaction',
    ts_utc: '2018-04-01T00:00:31.000000Z',
    payload_hash: digestText('p'),
    eb_ref: { topic: 't', partition: 0, offset: 0 },
  },
  posture: { status: 'UNAVAILABLE', mode: 'FAIL_CLOSED', mask: unrestricted([]) },
  bundle: { status: 'ABSENT', reason: 'NO_ACTIVE' },
  features: { status: 'FORBIDDEN_BY_MASK', forbidden_groups: ['core_card'] },
  graph: { status: 'NOT_REQUESTED_BY_PLAN' },
  model: { skipped: 'NO_ACTIVE' },
  rules: { policy_rev: sealPolicy('df.rules', 1, {}).policy_rev, hits: [], faults: [], shadow_hits: [] },
  shadow_bundles: [],
  policy_rev: sealPolicy('df.decision', 1, {}).policy_rev,
  actions: [planned],
};

/** For each contract what the code makes, and a change that the published schema must refuse. */
const EXAMPLES: Readonly<Record<string, { readonly good: readonly object[]; readonly bad: object }>> = {
  actor: { good: [systemActor('ig'), ANONYMOUS_ACTOR], bad: { source_type: 'HUMAN' } },
  basis: {
    good: [basisRecord(advance(emptyBasis(['t', 'u']), [{ topic: 't', partition: 1, nextOffset: asOffset(5) }]))],
    bad: { topics: { t: { x: 1 } } },
  },
  'capability-mask': { good: [unrestricted(['core'])], bad: { action_posture: 'RELAXED' } },
  'context-pins': { good: [NO_WORLD], bad: { no_world: false } },
  'eb-ref': { good: [{ topic: 't', partition: 0, offset: 0 }], bad: { offset: -1 } },
  envelope: { good: [envelope], bad: { ts_utc: '2018-04-01T00:00:31Z' } },
  'gate-receipt': {
    good: [
      {
        gate_id: 'g',
        status: 'PASS',
        scope: { a: 'b' },
        artifact_digest: digestText(''),
        evidence: [ref],
        reason_codes: [],
      },
    ],
    bad: { status: 'OK' },
  },
  money: { good: [money(-1, 'EUR')], bad: { amount_minor: 0.5 } },
  'policy-rev': { good: [sealPolicy('p', 1, {}).policy_rev], bad: { revision: 0 } },
  ref: { good: [ref], bad: { locator: '../a' } },
  'payload.transaction': { good: [payment, { ...payment, ...everything }], bad: { amount_minor: 12.3 } },
  'payload.decision': { good: [decision], bad: { outcome: 'MAYBE' } },
  'payload.action_intent': {
    good: [
      {
        ...planned,
        decision_id: digestText('d'),
        scope: 'payment',
        entity_key: 'card-1',
        origin: 'DF',
        actor: systemActor('df'),
        outcome: 'DECLINE',
        reason_codes: ['COUNTRY_BLOCKED'],
        policy_rev: sealPolicy('df.decision', 1, {}).policy_rev,
      },
    ],
    bad: { origin: 'UI' },
  },
  'payload.action_outcome': {
    good: [
      {
        outcome_id: digestText('o'),
        idempotency_key: digestText('k'),
        intent_event_id: digestText('k'),
        decision_id: digestText('d'),
        entity_key: 'card-1',
        action_domain: 'txn_disposition',
        action_type: 'record',
        status: 'EXECUTED',
        reason_codes: [],
        attempt_no: 1,
        retryable: false,
        origin: 'DF',
        actor: systemActor('df'),
        policy_rev: sealPolicy('al.actions', 1, {}).policy_rev,
        completed_at_utc: '2018-04-01T00:00:31.000000Z',
      },
    ],
    bad: { status: 'UNKNOWN' },
  },
  'payload.label': {
    good: [
      {
        label_id: digestText('l'),
        ledger_seq: 1,
        target: { kind: 'EVENT', event_id: 'e-1' },
        label_type: 'fraud_disposition',
        label_value: 'FRAUD_CONFIRMED',
        effective_at_utc: '2018-04-01T00:00:31.000000Z',
        observed_at_utc: '2018-04-08T00:00:31.000000Z',
        recorded_at_utc: '2018-04-08T00:00:31.000000Z',
        source: { type: 'SYSTEM', namespace: 'world', actor: systemActor('labels') },
        policy_rev: sealPolicy('labels.store', 1, {}).policy_rev,
      },
    ],
    bad: { target: { kind: 'EVENT' } },
  },
  'payload.dl.posture': {
    good: [
      {
        scope_key: 'GLOBAL',
        mode: 'NORMAL',
        mask: unrestricted(['core_card']),
        health: 'HEALTHY',
        reason_codes: [],
        triggers: [{ signal: 'features.lag', observed: 12, comparison: 'above', threshold: 10 }],
        snapshot_id: digestText('r'),
        policy_rev: sealPolicy('dl.ladder', 1, {}).policy_rev,
        posture_seq: 1,
        decided_at_utc: '2018-04-01T00:00:31.000000Z',
      },
    ],
    bad: { posture_seq: 0 },
  },
  'payload.gov.fact': {
    good: [
      {
        fact_id: digestText('f'),
        kind: 'POLICY_IN_FORCE',
        scope: 'local',
        subject: 'df.rules',
        actor: systemActor('ops'),
        before: null,
        after: sealPolicy('df.rules', 1, {}).policy_rev,
        reason: 'in force when it was first looked',
        evidence: [],
        detail: {},
        op_id: null,
        step: 0,
        observed_at_utc: '2026-01-31T12:00:00.000000Z',
      },
    ],
    bad: { kind: 'RUMOUR' },
  },
  'payload.mpr.bundle': {
    good: [
      {
        event_id: digestText('promoted'),
        registry_seq: 3,
        action: 'BUNDLE_PROMOTED_ACTIVE',
        bundle: { bundle_id: 'fraud', bundle_version: 2, digest: digestText('bundle') },
        bundle_fingerprint: digestText('manifest'),
        from_state: 'APPROVED',
        to_state: 'APPROVED',
        scopes: [{ environment: 'local', mode: 'live', bundle_slot: 'primary' }],
        replaced: null,
        actor: systemActor('mpr'),
        reason: 'better than the last one',
        policy_rev: sealPolicy('mpr.registry', 1, {}).policy_rev,
        recorded_at_utc: '2026-01-31T12:00:00.000000Z',
      },
    ],
    bad: { action: 'BUNDLE_SWAPPED' },
  },
  'payload.sr.ready': { good: [{ message_id: digestText(''), facts_view: ref }], bad: { message_id: 'x' } },
};

describe('the published contracts', () => {
  it('show every member of a payment in an example', () => {
    expect(Object.keys({ ...payment, ...everything }).toSorted()).toEqual(
      Object.keys(TransactionSchema.properties).toSorted(),
    );
  });

  it('are all there, and none besides', () => {
    const published = readdirSync(FOLDER).filter((name) => name.endsWith('.schema.json'));
    expect(published.toSorted()).toEqual(expect.arrayContaining(RAILS_CONTRACTS.map(contractFileName).toSorted()));
    expect(Object.keys(EXAMPLES)).toEqual(RAILS_CONTRACTS.map(({ name }) => name));
  });

  it.each(RAILS_CONTRACTS)('$name is up to date', (contract) => {
    expect(readFileSync(new URL(contractFileName(contract), FOLDER), 'utf8')).toBe(contractText(contract));
  });

  it.each(RAILS_CONTRACTS)('$name works in a validator that knows nothing of this program', (contract) => {
    const document = JSON.parse(readFileSync(new URL(contractFileName(contract), FOLDER), 'utf8')) as { $id: string };
    expect(document.$id).toBe(`urn:probity:schema:${contract.name}:v${contract.version}`);
    const ajv = new Ajv2020({ strict: true });
    addFormats.default(ajv);
    const validate = ajv.compile(document);
    const example = EXAMPLES[contract.name];
    for (const good of example?.good ?? []) {
      expect([validate(JSON.parse(JSON.stringify(good))), validate.errors]).toEqual([true, null]);
      expect(validate({ ...good, ...example?.bad })).toBe(false);
      expect(validate({ ...good, a_member_too_many: 1 })).toBe(false);
    }
  });
});
