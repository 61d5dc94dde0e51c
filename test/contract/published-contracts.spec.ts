import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { ALL_CONTRACTS, UNIT_CONTRACTS } from '../../scripts/contract-list.js';
import { PACKS } from '../../src/modules/data-engine/generate/packs.js';
import { PRESETS } from '../../src/modules/data-engine/import/presets.js';
import { digestText } from '../../src/rails/digest.js';
import { contractFileName, contractText } from '../../src/rails/contracts.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { objectKey, refTo } from '../../src/rails/ref.js';

const FOLDER = new URL('../../contracts/', import.meta.url);

const digest = digestText('');
const ref = refTo(objectKey('sr/a.json'), digest, 2, 'application/json');
const { policy_rev } = sealPolicy('p', 1, {});
const worldPins = { manifest_fingerprint: 'a'.repeat(64), parameter_hash: 'b'.repeat(64), seed: '0', scenario_id: 's' };
const pins = { ...worldPins, run_id: 'c'.repeat(32) };
const at = '2026-03-01T12:00:00.000000Z';
const traffic = { event_type: 'transaction', schema_version: 'v1' };
const output = { output_id: 'transactions', role: 'business_traffic', rows: 1 };
const sealed = { ...output, ...traffic, index: ref, receipt: ref };
const plain = { transaction_id: 't', occurred_at: '2026-03-01T13:00:00+01:00', currency: 'EUR', card_id: 'c' };
const submitted = { decision: 'ADMIT', receipt_id: digest, reason_codes: [], retryable: false };
const receipt = {
  ...submitted,
  principal: 'SYSTEM::edge',
  decided_at_utc: at,
  policy_rev,
  component_version: '0.1.0',
  env: 'local',
};

/** For each contract what the code makes, and a change that the published schema must refuse. */
const EXAMPLES: Readonly<
  Record<string, { readonly good: readonly object[]; readonly bad: object; readonly open?: true }>
> = {
  'cloud-event': {
    good: [{ specversion: '1.0', id: '1', source: '/shop', type: 'transaction', data: plain, sampled: true }],
    bad: { specversion: '0.3' },
    open: true,
  },
  'edge-result': {
    good: [
      {
        decision: 'ADMIT',
        event_id: 'e',
        receipt_id: digest,
        eb_ref: { topic: 't', partition: 0, offset: 1 },
        retryable: false,
      },
      { decision: 'REFUSED', code: 'EDGE_MAPPING_FAILED', at: '/amount', detail: 'x', retryable: false },
    ],
    bad: { decision: 'MAYBE' },
  },
  'generate-pack': {
    good: Object.values(PACKS).map(({ parameters }) => parameters),
    bad: { window: { start_date: '2026-01-01', days: 0 } },
  },
  'import-mapping': { good: Object.values(PRESETS).map(({ parameters }) => parameters), bad: { format: 'xlsx' } },
  'label-row': {
    good: [{ key: 'k', transaction_id: 't', is_fraud: true, effective_at_utc: at, ts_utc: at }],
    bad: { is_fraud: 'yes' },
  },
  'output-index': {
    good: [
      {
        ...output,
        ...traffic,
        pins: worldPins,
        parts: [{ ref, rows: 1, first_row: 0, first_ts_utc: at, last_ts_utc: at }],
      },
    ],
    bad: { role: 'anything' },
  },
  'plain-transaction': {
    good: [
      { ...plain, amount: '12.30' },
      { ...plain, amount_minor: 1230 },
    ],
    bad: { amount: 12.3 },
  },
  receipt: {
    good: [
      { ...receipt, pins, eb_ref: { topic: 'fp.bus.traffic.v1', partition: 0, offset: 7 } },
      {
        ...receipt,
        decision: 'QUARANTINE',
        reason_codes: ['SCHEMA_FAIL'],
        quarantine: { quarantine_id: digest, stage: 'payload', detail: 'x' },
      },
    ],
    bad: { reason_codes: ['BECAUSE'] },
  },
  reconciliation: {
    good: [
      {
        state: 'DONE',
        run_id: pins.run_id,
        admitted: 1,
        duplicate: 0,
        quarantined: 0,
        on_bus: 1,
        by_type: { transaction: { admitted: 1, on_bus: 1 } },
        set_digest: digest,
        missing_on_bus: [],
        not_in_ledger: [],
        more_than_once_on_bus: [],
        other_content: [],
        reconciled: true,
      },
    ],
    bad: { admitted: -1 },
  },
  'run-facts-view': {
    good: [
      { pins, kind: 'live', outputs: [], gate_receipts: [], traffic: [traffic], plan: ref, policy_rev },
      {
        pins,
        kind: 'import',
        outputs: [sealed],
        gate_receipts: [],
        traffic: [{ ...traffic, output_id: 'transactions' }],
        plan: ref,
        policy_rev,
      },
    ],
    bad: { kind: 'latest' },
  },
  'run-ready': { good: [{ pins, facts_view: ref, message_id: digest }], bad: { message_id: 'x' } },
  'run-request': {
    good: [
      { run_equivalence_key: 'k', strategy: 'AUTO', world: { kind: 'live', scenario_id: 's', traffic: [traffic] } },
      {
        run_equivalence_key: 'k',
        strategy: 'AUTO',
        world: { kind: 'import', scenario_id: 's', source: ref, parameters: {} },
      },
    ],
    bad: { strategy: 'LATEST' },
  },
  'submit-result': { good: [submitted], bad: { decision: 'REFUSED' } },
  'traffic-row': { good: [{ key: 'k', ts_utc: at, payload: {} }], bad: { ts_utc: 'now' } },
  'world-seal': {
    good: [
      {
        status: 'SEALED_OK',
        kind: 'import',
        pins: worldPins,
        format: 1,
        parameters: ref,
        source: ref,
        outputs: [sealed],
        counts: { rows_read: 2, rows_sealed: 1, rows_rejected: 1, rejected_by_reason: { TIME_UNREADABLE: 1 } },
        first_ts_utc: at,
        last_ts_utc: at,
        reason_codes: [],
      },
    ],
    bad: { status: 'SEALED' },
  },
};

describe('the contracts that the units publish', () => {
  it('are all there with an example each, and nothing else is', () => {
    expect(Object.keys(EXAMPLES)).toEqual(UNIT_CONTRACTS.map(({ name }) => name));
    const published = readdirSync(FOLDER).filter((name) => name.endsWith('.schema.json'));
    expect(published.toSorted()).toEqual(ALL_CONTRACTS.map(contractFileName).toSorted());
    expect(new Set(ALL_CONTRACTS.map(contractFileName)).size).toBe(ALL_CONTRACTS.length);
  });

  it.each(UNIT_CONTRACTS)('$name is up to date', (contract) => {
    expect(readFileSync(new URL(contractFileName(contract), FOLDER), 'utf8')).toBe(contractText(contract));
  });

  it.each(UNIT_CONTRACTS)('$name works in a validator that knows nothing of this program', (contract) => {
    const document = JSON.parse(readFileSync(new URL(contractFileName(contract), FOLDER), 'utf8')) as object;
    const ajv = new Ajv2020({ strict: true });
    addFormats.default(ajv);
    const validate = ajv.compile(document);
    const { good = [], bad = {}, open } = EXAMPLES[contract.name] ?? {};
    expect(good.length).toBeGreaterThan(0);
    for (const example of good) {
      expect([validate(JSON.parse(JSON.stringify(example))), validate.errors]).toEqual([true, null]);
      expect(validate({ ...example, ...bad })).toBe(false);
      if (open !== true) expect(validate({ ...example, a_member_too_many: 1 })).toBe(false);
    }
  });
});
