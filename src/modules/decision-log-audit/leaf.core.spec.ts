import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { asCanonicalJson, canonicalJson, digestCanonical, type JsonObject } from '../../rails/canonical-json.js';
import { basisRecord, emptyBasis } from '../../rails/basis.js';
import { systemActor } from '../../rails/actor.js';
import { MOST_RESTRICTIVE } from '../../rails/capability-mask.js';
import { digestText } from '../../rails/digest.js';
import { sealPolicy } from '../../rails/policy-rev.js';
import { type LoggedRecord, leafOf, readLeaf } from './leaf.core.js';

const TOPIC = 'fp.bus.traffic.v1';
const REV = sealPolicy('df.decision', 1, {}).policy_rev;
const PINS = {
  manifest_fingerprint: 'a'.repeat(64),
  parameter_hash: 'b'.repeat(64),
  seed: '7',
  scenario_id: 's',
  run_id: 'c'.repeat(32),
};

const decision: JsonObject = JSON.parse(
  JSON.stringify({
    decision_id: digestText('decision'),
    scope: 'payment',
    entity_key: 'card-1',
    outcome: 'STEP_UP',
    reason_codes: ['CARD_VELOCITY_1H'],
    source_event: {
      event_id: 'e-1',
      event_type: 'transaction',
      ts_utc: '2018-04-01T00:00:31.000000Z',
      payload_hash: digestText('payload'),
      eb_ref: { topic: TOPIC, partition: 0, offset: 4 },
    },
    posture: {
      status: 'USED',
      mode: 'NORMAL',
      mask: MOST_RESTRICTIVE,
      scope_key: 'GLOBAL',
      posture_seq: 3,
      policy_rev: REV,
      decided_at_utc: '2018-04-01T00:00:30.000000Z',
    },
    bundle: { status: 'ABSENT', reason: 'NO_ACTIVE' },
    features: {
      status: 'USED',
      feature_snapshot_hash: digestText('snapshot'),
      definitions: REV,
      groups: [{ name: 'core_card', version: 1, status: 'OK' }],
      input_basis: basisRecord(emptyBasis([TOPIC])),
    },
    graph: { status: 'NOT_REQUESTED_BY_PLAN' },
    model: { skipped: 'NO_ACTIVE' },
    rules: { policy_rev: REV, hits: [], faults: [], shadow_hits: [] },
    shadow_bundles: [],
    policy_rev: REV,
    actions: [],
  }),
) as JsonObject;

function recordOf(event_type: string, payload: JsonObject, change: JsonObject = {}): LoggedRecord {
  const envelope = {
    ...PINS,
    event_id: 'e-9',
    event_type,
    schema_version: 'v1',
    producer: 'decision-fabric',
    ts_utc: '2018-04-01T00:00:31.000000Z',
    payload,
    ...change,
  };
  return { topic: TOPIC, partition: 2, offset: 17, key: 'card-1', value: Buffer.from(canonicalJson(envelope)) };
}

interface Written {
  readonly audit_record_id: string;
  readonly record: Readonly<Record<string, unknown>>;
}
const written = (record: LoggedRecord): Written => JSON.parse(leafOf(record).bytes.toString()) as Written;

/** A copy without the member at the path. */
function without(value: JsonObject, path: readonly string[]): JsonObject {
  const copy = structuredClone(value) as Record<string, unknown>;
  let at: Record<string, unknown> = copy;
  for (const step of path.slice(0, -1)) at = at[step] as Record<string, unknown>;
  Reflect.deleteProperty(at, path.at(-1) ?? '');
  return copy as JsonObject;
}

describe('a leaf', () => {
  it('is canonical, and is read back as what it says', () => {
    const record = recordOf('decision', decision);
    const leaf = leafOf(record);
    expect(asCanonicalJson(leaf.bytes.toString())).toBe(leaf.bytes.toString());
    expect(readLeaf(leaf.bytes)).toMatchObject({
      kind: 'decision',
      topic: TOPIC,
      partition: 2,
      offset: 17,
      eventId: 'e-9',
      decisionId: decision['decision_id'],
      entityKey: 'card-1',
      runId: PINS.run_id,
    });
  });

  it('names the second opinion of a decision that had one, and has no word of one otherwise', () => {
    const ref = { bundle_id: 'second', bundle_version: 2, digest: digestText('second') };
    const activation = { event_id: digestText('active'), registry_seq: 4 };
    const of = (stage2: JsonObject) => written(recordOf('decision', { ...decision, model: { score_e6: 5, stage2 } }));
    expect(of({ ...ref, activation, score_e6: 7, contributions: [] }).record['decision']).toMatchObject({
      score_e6: 5,
      stage2: { ...ref, score_e6: 7, skipped: null },
    });
    expect(of({ ...ref, activation, skipped: 'OUTSIDE_BAND' }).record['decision']).toMatchObject({
      stage2: { ...ref, score_e6: null, skipped: 'OUTSIDE_BAND' },
    });
    expect(written(recordOf('decision', decision)).record['decision']).not.toHaveProperty('stage2');
  });

  it('has an id of its content alone: another place is the same record, one byte more is another', () => {
    const record = recordOf('decision', decision);
    const { audit_record_id, record: content } = written(record);
    expect(written({ ...record, partition: 0, offset: 99 }).audit_record_id).toBe(audit_record_id);
    expect(audit_record_id).toBe(digestCanonical({ content, recipe: 'dla.record.v1' }));
    expect(written(recordOf('decision', { ...decision, outcome: 'DECLINE' })).audit_record_id).not.toBe(
      audit_record_id,
    );
    expect(written(recordOf('decision', decision, { event_id: 'e-8' })).audit_record_id).not.toBe(audit_record_id);
  });

  it('names what a decision stood on, and holds no payload', () => {
    const { record } = written(recordOf('decision', decision));
    expect(record).toMatchObject({
      pins: PINS,
      decision: {
        posture: { posture_seq: 3 },
        bundle: { reason: 'NO_ACTIVE' },
        graph: { status: 'NOT_REQUESTED_BY_PLAN' },
      },
    });
    const payment = written(recordOf('transaction', { amount_minor: 4_200, card_id: 'card-4242' }));
    expect(payment.record).not.toHaveProperty('payload');
    expect(JSON.stringify(payment)).not.toContain('4242');
  });

  it.each([
    ['/posture/posture_seq', ['posture', 'posture_seq']],
    ['/posture/policy_rev', ['posture', 'policy_rev']],
    ['/posture/decided_at_utc', ['posture', 'decided_at_utc']],
    ['/features/feature_snapshot_hash', ['features', 'feature_snapshot_hash']],
    ['/features/input_basis', ['features', 'input_basis']],
    ['/features/definitions', ['features', 'definitions']],
  ])('without %s is set apart, and the field is named', (name, path) => {
    const leaf = leafOf(recordOf('decision', without(decision, path)));
    expect([leaf.kind, leaf.reasons]).toEqual(['quarantine', ['INCOMPLETE_PROVENANCE']]);
    expect(written(recordOf('decision', without(decision, path))).record).toMatchObject({
      missing_fields: [name],
      decision_id: decision['decision_id'],
    });
  });

  it.each(['posture', 'bundle', 'features', 'graph', 'rules', 'policy_rev', 'source_event'])(
    'without %s as a whole is set apart, and the place is named',
    (name) => {
      const { record } = written(recordOf('decision', without(decision, [name])));
      expect(record).toMatchObject({ kind: 'quarantine', reason_codes: ['INCOMPLETE_PROVENANCE'] });
      expect((record['missing_fields'] as string[])[0]).toContain(name);
    },
  );

  it('of a used graph wants its version and its hash', () => {
    const graph = { status: 'USED', integrity: 'CLEAN' };
    const { record } = written(recordOf('decision', { ...decision, graph }));
    expect(record).toMatchObject({ missing_fields: ['/graph/graph_context_hash', '/graph/graph_version'] });
  });

  it('of an intent and of its outcome names the decision', () => {
    const intent = {
      action_domain: 'txn_disposition',
      action_type: 'record',
      action_key: 'primary',
      idempotency_key: digestText('key'),
      target: { type: 'transaction', id: 't-1' },
      decision_id: digestText('decision'),
      scope: 'payment',
      entity_key: 'card-1',
      origin: 'DF',
      actor: JSON.parse(JSON.stringify(systemActor('df'))) as JsonObject,
      outcome: 'DECLINE',
      reason_codes: [],
      policy_rev: { ...REV },
    };
    expect(leafOf(recordOf('action_intent', intent as never))).toMatchObject({
      kind: 'intent',
      decisionId: intent.decision_id,
    });
    expect(leafOf(recordOf('action_intent', without(intent as never, ['decision_id']))).kind).toBe('quarantine');
    expect(leafOf(recordOf('action_outcome', {})).kind).toBe('quarantine');
  });

  it.each([
    ['no JSON', Buffer.from('{"event_id"')],
    ['no event', Buffer.from('[]')],
    ['an event without pins', Buffer.from(canonicalJson({ event_id: 'x' }))],
  ])('of %s is set apart with the digest of the bytes', (_name, value) => {
    const leaf = leafOf({ topic: TOPIC, partition: 0, offset: 3, key: null, value });
    expect(leaf.kind).toBe('quarantine');
    expect(readLeaf(leaf.bytes)?.digest).toMatch(/^[0-9a-f]{64}$/);
    expect(asCanonicalJson(leaf.bytes.toString())).toBe(leaf.bytes.toString());
  });

  it('is never longer than a bundle can hold', () => {
    const long = { ...decision, reason_codes: Array.from({ length: 64 }, (_, n) => `R_${n}:${'x'.repeat(80)}`) };
    expect(leafOf(recordOf('decision', long)).bytes.byteLength).toBeLessThan(65_535);
    expect(readLeaf(readFileSync(process.execPath).subarray(0, 64))).toBeNull();
  });
});
