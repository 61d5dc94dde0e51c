import { canonicalJson, inOrder, type JsonObject } from '../../rails/canonical-json.js';
import { type Digest, digestBytes, digestText } from '../../rails/digest.js';
import type { EventId } from '../../rails/envelope.schema.js';
import { ActionIntentSchema } from '../../rails/events/action-intent.schema.js';
import { ActionOutcomeSchema } from '../../rails/events/action-outcome.schema.js';
import { type Decision, DecisionSchema } from '../../rails/events/decision.schema.js';
import { type BusEvent, readEvent } from '../../rails/events/read-event.js';
import { asPins, isNoWorld } from '../../rails/pins.js';
import { LEAF_BYTES_MAX } from '../../rails/tlog/tiles.js';
import { validatorOf } from '../../rails/validator.js';
import type { Quarantined } from './decision-log-audit.port.js';

export type LeafKind = 'event' | 'decision' | 'intent' | 'outcome' | 'quarantine';

/** One record of the bus as the audit log keeps it, and what it is found by. */
export interface Leaf {
  readonly bytes: Buffer;
  readonly kind: LeafKind;
  readonly reasons: readonly string[];
  readonly runId: string | null;
  readonly eventId: string | null;
  readonly decisionId: string | null;
  readonly entityKey: string | null;
  readonly tsUtc: string | null;
  readonly partition: number;
  readonly offset: number;
}

export interface LoggedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly value: Uint8Array;
}

interface Content {
  readonly kind: LeafKind;
  readonly reasons?: readonly string[];
  readonly decisionId?: string;
  /** What the kind says beside the event's own facts: refs, digests and codes; never a payload. */
  readonly says: JsonObject;
}

/** What every decision has, whatever it says there. */
const SLOTS: readonly string[] = DecisionSchema.required;

const decisions = validatorOf(DecisionSchema, 'the decision');
const intents = validatorOf(ActionIntentSchema, 'the intent');
const outcomes = validatorOf(ActionOutcomeSchema, 'the outcome');

/**
 * The audit record of one record of the bus: who says what of which world, and the digest of the very bytes. Total: what cannot be read, or does not say
 * what it came from, is a record of that kind (`quarantine`), and nothing is left out.
 *
 * `audit_record_id` names the content, without the place on the bus: canonical JSON under a recipe. The leaf is canonical as well, put together
 * from its parts, whose names stand in order.
 */
export function leafOf(record: LoggedRecord): Leaf {
  const { topic, partition, offset, key, value } = record;
  const read = readEvent(value);
  const event = read.ok ? read.event : null;
  const content: Content =
    read.ok && event !== null
      ? contentOf(event)
      : quarantine(read.ok || read.reason === 'MALFORMED_ENVELOPE' ? 'MALFORMED_ENVELOPE' : 'RUN_SCOPE_MISMATCH', {
          detail: read.ok ? '' : read.says.slice(0, 500),
        });
  const entityKey = key === null || key === '' || key.includes('\u0000') ? null : key;
  const facts = {
    ...factsOf(event),
    ...(entityKey === null ? {} : { entity_key: entityKey }),
    record_digest: digestBytes(value),
  };
  let text = canonicalJson(inOrder({ kind: content.kind, ...facts, ...content.says }));
  let { kind, reasons = [] } = content;
  if (Buffer.byteLength(text) > LEAF_BYTES_MAX - 1_024) {
    ({ kind, reasons = [] } = quarantine('RECORD_TOO_LARGE', {}));
    text = canonicalJson({ kind, reason_codes: [...reasons], ...facts });
  }
  const id = digestText(`{"content":${text},"recipe":"dla.record.v1"}`);
  const place = `{"offset":${offset},"partition":${partition},"topic":${JSON.stringify(topic)}}`;
  return {
    bytes: Buffer.from(`{"audit_record_id":"${id}","eb_ref":${place},"record":${text}}`),
    kind,
    reasons,
    runId: event === null || isNoWorld(event.pins) ? null : event.pins.run_id,
    eventId: event?.eventId ?? null,
    decisionId: content.decisionId ?? null,
    entityKey,
    tsUtc: event?.envelope.ts_utc ?? null,
    partition,
    offset,
  };
}

function factsOf(event: BusEvent | null): JsonObject {
  if (event === null) return { pins: null };
  const { envelope, pins, eventId, eventType } = event;
  const { ts_utc, producer, parent_event_id, schema_version } = envelope;
  return {
    pins: { ...pins },
    event_id: eventId,
    event_type: eventType,
    ts_utc,
    ...(producer === undefined ? {} : { producer }),
    ...(parent_event_id === undefined ? {} : { parent_event_id }),
    ...(schema_version === undefined ? {} : { schema_version }),
  };
}

function contentOf({ eventType, payload }: BusEvent): Content {
  switch (eventType as string) {
    case 'decision': {
      const checked = decisions.check(payload);
      if (!checked.ok) {
        const absent = SLOTS.filter((name) => payload[name] === undefined);
        return incomplete(absent.length > 0 ? absent.map((name) => `/${name}`) : [checked.fault.at]);
      }
      const missing = missingOf(checked.value);
      if (missing.length > 0) return incomplete(missing, checked.value.decision_id);
      return {
        kind: 'decision',
        decisionId: checked.value.decision_id,
        says: { decision: provenanceOf(checked.value) },
      };
    }
    case 'action_intent': {
      const checked = intents.check(payload);
      if (!checked.ok) return incomplete([checked.fault.at]);
      const { decision_id, idempotency_key, action_domain, action_type, action_key, origin, actor, policy_rev } =
        checked.value;
      const intent = {
        action_domain,
        action_key,
        action_type,
        actor: plain(actor),
        decision_id,
        idempotency_key,
        origin,
      };
      return {
        kind: 'intent',
        decisionId: decision_id,
        says: { intent: { ...intent, policy_rev } },
      };
    }
    case 'action_outcome': {
      const checked = outcomes.check(payload);
      if (!checked.ok) return incomplete([checked.fault.at]);
      const {
        outcome_id,
        idempotency_key,
        intent_event_id,
        decision_id,
        status,
        reason_codes,
        attempt_no,
        policy_rev,
      } = checked.value;
      const ids = { attempt_no, decision_id, idempotency_key, intent_event_id, outcome_id };
      return {
        kind: 'outcome',
        decisionId: decision_id,
        says: { outcome: { ...ids, policy_rev, reason_codes: [...reason_codes], status } },
      };
    }
    default:
      return { kind: 'event', says: {} };
  }
}

/** What a decision stood on, by name and digest. */
function provenanceOf(decision: Decision): JsonObject {
  const { decision_id, scope, outcome, reason_codes, source_event, posture, bundle, features, graph, model } = decision;
  const { groups: _groups, ...featureRefs } = features;
  return plain({
    actions: decision.actions.map(({ action_domain, action_key, action_type, idempotency_key }) => ({
      action_domain,
      action_key,
      action_type,
      idempotency_key,
    })),
    bundle,
    decision_id,
    features: featureRefs,
    graph,
    model_skipped: model.skipped ?? null,
    outcome,
    policy_rev: decision.policy_rev,
    posture,
    reason_codes,
    rules: decision.rules.policy_rev,
    scope,
    score_e6: model.score_e6 ?? null,
    source_event,
    ...(model.stage2 === undefined ? {} : { stage2: secondOpinionOf(model.stage2) }),
  });
}

function secondOpinionOf({
  bundle_id,
  bundle_version,
  digest,
  score_e6,
  skipped,
}: NonNullable<Decision['model']['stage2']>): JsonObject {
  return { bundle_id, bundle_version, digest, score_e6: score_e6 ?? null, skipped: skipped ?? null };
}

/** Every slot holds a value or says why not (law R5, C1): what was used is named in full. */
function missingOf({ posture, features, graph }: Decision): readonly string[] {
  const needs: readonly (readonly [boolean, string, unknown])[] = [
    [posture.status === 'USED', '/posture/posture_seq', posture.posture_seq],
    [posture.status === 'USED', '/posture/policy_rev', posture.policy_rev],
    [posture.status === 'USED', '/posture/decided_at_utc', posture.decided_at_utc],
    [features.status === 'USED', '/features/feature_snapshot_hash', features.feature_snapshot_hash],
    [features.status === 'USED', '/features/input_basis', features.input_basis],
    [features.status === 'USED', '/features/definitions', features.definitions],
    [graph.status === 'USED', '/graph/graph_context_hash', graph.graph_context_hash],
    [graph.status === 'USED', '/graph/graph_version', graph.graph_version],
  ];
  return needs.flatMap(([needed, name, value]) => (needed && value === undefined ? [name] : []));
}

function incomplete(fields: readonly string[], decisionId?: string): Content {
  return {
    ...quarantine('INCOMPLETE_PROVENANCE', {
      missing_fields: fields.map((field) => field || '/'),
      ...(decisionId === undefined ? {} : { decision_id: decisionId }),
    }),
    ...(decisionId === undefined ? {} : { decisionId }),
  };
}

function quarantine(reason: string, says: JsonObject): Content {
  return { kind: 'quarantine', reasons: [reason], says: { reason_codes: [reason], ...says } };
}

/** A value of the rails as the JSON that it is: it was parsed from a record, or put together here without gaps. */
function plain(value: object): JsonObject {
  return value as JsonObject;
}

export interface ReadLeaf extends Leaf {
  readonly topic: string;
  readonly digest: string;
  /** Of an outcome: the event id of its intent. */
  readonly intentId: string | null;
}

/** A leaf read back from the log; null for bytes that are none of ours. Key and partition come from what the leaf says. */
export function readLeaf(bytes: Buffer): ReadLeaf | null {
  let leaf: StoredLeaf;
  try {
    leaf = JSON.parse(bytes.toString('utf8')) as StoredLeaf;
  } catch {
    return null;
  }
  const { eb_ref, record } = leaf;
  if (typeof record?.record_digest !== 'string' || typeof eb_ref?.offset !== 'number') return null;
  return {
    bytes,
    topic: eb_ref.topic,
    digest: record.record_digest,
    intentId: record.outcome?.intent_event_id ?? null,
    kind: record.kind,
    reasons: record.reason_codes ?? [],
    runId: record.pins?.run_id ?? null,
    eventId: record.event_id ?? null,
    decisionId: (record.decision ?? record.intent ?? record.outcome ?? record)['decision_id'] ?? null,
    entityKey: record.entity_key ?? null,
    tsUtc: record.ts_utc ?? null,
    partition: eb_ref.partition,
    offset: eb_ref.offset,
  };
}

/** What a leaf says of a record that was quarantined, by its own bytes. */
export function quarantinedIn(leaf: number, bytes: Buffer): Quarantined['records'][number] {
  const { audit_record_id, record } = JSON.parse(bytes.toString('utf8')) as StoredLeaf & { audit_record_id: Digest };
  const said = record?.pins ?? null;
  const pins = said === null ? null : asPins(said);
  return {
    ...{ leaf, audit_record_id, reason_codes: [...(record?.reason_codes ?? [])] },
    pins: pins === null || isNoWorld(pins) ? null : pins,
    event_id: (record?.event_id ?? null) as EventId | null,
    event_type: record?.event_type ?? null,
    parent_event_id: (record?.parent_event_id ?? null) as EventId | null,
  };
}

/** As far as it is read; it is our own, or fails a signature before anybody believes it. */
interface StoredLeaf {
  readonly eb_ref?: { readonly topic: string; readonly partition: number; readonly offset: number };
  readonly record?: {
    readonly kind: LeafKind;
    readonly record_digest: string;
    readonly reason_codes?: readonly string[];
    readonly pins?: { readonly run_id?: string } | null;
    readonly event_id?: string;
    readonly event_type?: string;
    readonly parent_event_id?: string;
    readonly entity_key?: string;
    readonly ts_utc?: string;
    readonly decision_id?: string;
    readonly decision?: { readonly decision_id?: string };
    readonly intent?: { readonly decision_id?: string };
    readonly outcome?: { readonly decision_id?: string; readonly intent_event_id?: string };
  };
}
