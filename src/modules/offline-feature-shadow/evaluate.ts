import { asBasis, type Basis, topicsOf } from '../../rails/basis.js';
import { canonicalJson } from '../../rails/canonical-json.js';
import { payloadHash } from '../../rails/envelope.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import { type BusEvent, peekEventType, readEvent } from '../../rails/events/read-event.js';
import type { FeatureEvent } from '../../rails/features/event-table.js';
import { FeatureState, type GroupValues } from '../../rails/features/feature-state.js';
import { amountsOf, hasItsNumbers } from '../../rails/features/kept.js';
import { type FeatureSetPlan, planOf } from '../../rails/features/plan.js';
import { snapshotOf } from '../../rails/features/snapshot.js';
import type { BusRecord } from '../../substrate/bus/bus.port.js';
import { ReplayedState } from '../../substrate/projection/replayed-state.js';
import type { BuildJob, ShareResult } from './build-job.js';
import { ROW_EVENT } from './build-plan.core.js';
import type { Column, Mismatch } from './dataset.schema.js';
import { differing, featureColumns, rowText } from './rebuild.core.js';
import { reachesBeyond } from './replay-basis.js';
import { bucketOf } from './row-rules.core.js';
import { SortedRuns } from './sorted-runs.js';
import { SpoolCursor } from './spool.js';

const MISMATCHES_KEPT = 10;
/** Decisions of one partition come in the order of their events, but for a batch that a crash has cut. */
const LOOK_BACK = 20_000;

type Counts = Record<string, number>;

/** What the processes of a build have in common: rows to write and results to count. */
export class Share {
  readonly plan: FeatureSetPlan;
  readonly columns: readonly Column[];
  readonly runs: SortedRuns;
  match = 0;
  mismatch = 0;
  readonly mismatches: Mismatch[] = [];
  readonly uncheckable: Counts = {};
  readonly notServed: Counts = {};
  readonly dropped: Counts = {};

  readonly job: BuildJob;

  constructor({ pins, definitions, basis, ...job }: BuildJob) {
    // Members in canonical order are hashed without being sorted, for every row.
    const { policy_rev, body } = definitions;
    this.job = {
      ...job,
      ...{ pins: canonical(pins), definitions: { policy_rev: canonical(policy_rev), body }, basis: canonical(basis) },
    };
    this.plan = planOf(body);
    this.columns = featureColumns(body, job.groups);
    this.runs = new SortedRuns(job.folder, `rows-${job.share.index}`);
  }

  /** Whoever works on an event is settled by its id: where it stands in the log plays no part. */
  isOwn(eventId: string): boolean {
    const { index, of } = this.job.share;
    return of === 1 || bucketOf(eventId, 'share', of) === index;
  }

  isRow({ eventType, ts }: FeatureEvent): boolean {
    const { from, to } = this.job.rows;
    return eventType === ROW_EVENT && (from === null || ts >= from) && (to === null || ts < to);
  }

  /** @returns whether the page is full */
  add(event: FeatureEvent, values: readonly GroupValues[] | null, served: Parameters<typeof rowText>[3]): boolean {
    const text = JSON.stringify(rowText(event.payload, this.columns, values, served));
    return this.runs.add({ ts: event.ts, id: event.eventId, text });
  }

  count(counts: Counts, name: string): void {
    counts[name] = (counts[name] ?? 0) + 1;
  }

  differs(mismatch: Mismatch): void {
    this.mismatch += 1;
    if (this.mismatches.length < MISMATCHES_KEPT) this.mismatches.push(mismatch);
  }

  async result(payments: number): Promise<ShareResult> {
    await this.runs.flush();
    const { match, mismatch, mismatches, uncheckable, notServed, dropped } = this;
    return { files: this.runs.files, payments, match, mismatch, mismatches, uncheckable, notServed, dropped };
  }
}

interface Head {
  readonly decision: Decision;
  readonly basis: Basis | null;
  readonly order: number;
}

/**
 * The rows of a run as they were served: decisions in the order of their bases, each with the state that its basis names, by the reducers of the
 * feature plane; and beside each whether that is what was served.
 */
export async function evaluateDecided(job: BuildJob): Promise<ShareResult> {
  const share = new Share(job);
  const amounts = amountsOf(share.plan);
  const state = new ReplayedState({
    state: new FeatureState(share.plan),
    runId: job.pins.run_id,
    usable: (event) => hasItsNumbers(amounts, event),
    events: job.traffic.map((partition) => new SpoolCursor(job.folder, 'events', partition)),
    facts: job.control.map((partition) => new SpoolCursor(job.folder, 'facts', partition)),
  });
  const triggers = new Map(job.traffic.map((partition) => [partition, new Triggers(job.folder, partition)]));
  const outer = asBasis(job.basis);
  const heads = new Map<SpoolCursor, Head>();
  for (const partition of job.traffic) takeHead(new SpoolCursor(job.folder, 'decisions', partition), heads, share);
  while (heads.size > 0) {
    const [cursor, head] = [...heads].reduce((a, b) => (b[1].order < a[1].order ? b : a));
    takeHead(cursor, heads, share);
    const { decision, basis } = head;
    const { source_event: source } = decision;
    const found = triggers.get(source.eb_ref.partition)?.find(source.eb_ref.offset);
    const event = found === undefined ? null : eventOf(found, source.eb_ref.partition, source.eb_ref.offset);
    if (event === null || event.read.eventId !== source.event_id) {
      share.count(share.uncheckable, 'EVENT_NOT_AT_ITS_PLACE');
      share.count(share.dropped, 'EVENT_NOT_AT_ITS_PLACE');
      continue;
    }
    if (basis !== null && reachesBeyond(basis, outer)) {
      share.count(share.uncheckable, 'BASIS_BEYOND_BUILD');
      if (share.isRow(event.trigger)) share.count(share.dropped, 'BASIS_BEYOND_BUILD');
      continue;
    }
    if (basis !== null) await state.upTo(basis);
    if (rebuilt(share, head, event, state)) await share.runs.flush();
  }
  return await share.result(paymentsOf(share));
}

/** @returns whether the page of rows is full */
function rebuilt(
  share: Share,
  { decision, basis }: Head,
  { trigger, read }: Trigger,
  state: ReplayedState<FeatureState>,
): boolean {
  const { features, decision_id: decisionId } = decision;
  const { status, feature_snapshot_hash: served, input_basis, definitions } = features;
  const isRow = share.isRow(trigger);
  if (status !== 'USED' || basis === null || served === undefined || input_basis === undefined) {
    share.count(share.notServed, status);
    return isRow && share.add(trigger, null, { decisionId, status, hash: null });
  }
  const names = new Set((features.groups ?? []).map(({ name }) => name));
  const forbidden = new Set(features.forbidden_groups ?? []);
  const allowed = new Set([...names, ...share.job.groups.filter((name) => !forbidden.has(name))]);
  const values = state.state.snapshot(trigger, allowed, state.cutTo(basis));
  const ofDecision = values.filter(({ group }) => names.has(group.definition.name));
  const { feature_snapshot_hash: hash } = snapshotOf({
    pins: share.job.pins,
    trigger,
    definitions: share.job.definitions.policy_rev,
    groups: ofDecision,
    inputBasis: input_basis,
  });
  if (definitions?.content_digest !== share.job.definitions.policy_rev.content_digest)
    share.count(share.uncheckable, 'DEFINITIONS_NOT_AT_HAND');
  else {
    const changed = payloadHash(read.envelope) !== decision.source_event.payload_hash;
    if (hash === (served as string) && !changed) share.match += 1;
    else
      share.differs({
        decision_id: decisionId as string as Mismatch['decision_id'],
        event_id: trigger.eventId,
        fields: [
          ...(changed ? ['source_event'] : []),
          ...(hash === (served as string) ? [] : differing(decision, ofDecision)),
        ],
        served_hash: served,
        rebuilt_hash: hash as string as Mismatch['served_hash'],
      });
  }
  return isRow && share.add(trigger, values, { decisionId, status, hash });
}

/** The next decision of a partition that is this share's. */
function takeHead(cursor: SpoolCursor, heads: Map<SpoolCursor, Head>, share: Share): void {
  heads.delete(cursor);
  for (let record = cursor.head; record !== undefined; record = cursor.head) {
    cursor.skip();
    const read = readEvent(record.value);
    if (!read.ok || read.event.eventType !== 'decision') continue;
    // Admission checked it against the published schema.
    const decision = read.event.payload as unknown as Decision;
    if (!share.isOwn(decision.source_event.event_id)) continue;
    const { input_basis } = decision.features;
    const basis = input_basis === undefined ? null : asBasis(input_basis);
    heads.set(cursor, { decision, basis, order: basis === null ? -1 : sumOf(basis) });
    return;
  }
}

interface Trigger {
  readonly read: BusEvent;
  readonly trigger: FeatureEvent;
}

function eventOf({ value }: BusRecord, partition: number, offset: FeatureEvent['offset']): Trigger | null {
  const read = readEvent(value);
  if (!read.ok) return null;
  const { eventId, eventType, ts, payload } = read.event;
  return { read: read.event, trigger: { eventId, eventType, ts, partition, offset, payload } };
}

/** Finds the events of decisions: a walk along the partition that remembers some of what it went past. */
class Triggers {
  readonly #cursor: SpoolCursor;
  readonly #passed = new Map<number, BusRecord>();

  constructor(folder: string, partition: number) {
    this.#cursor = new SpoolCursor(folder, 'events', partition);
  }

  find(offset: number): BusRecord | undefined {
    for (let record = this.#cursor.head; record !== undefined && record.offset <= offset; record = this.#cursor.head) {
      this.#cursor.skip();
      if (record.offset === offset) return record;
      this.#passed.set(record.offset, record);
      if (this.#passed.size > LOOK_BACK) this.#passed.delete(this.#passed.keys().next().value ?? -1);
    }
    return this.#passed.get(offset);
  }
}

/** Counts the payments of the partitions that are this share's, decided or not. */
function paymentsOf(share: Share): number {
  const { folder, traffic, share: own, rows } = share.job;
  const all = rows.from === null && rows.to === null;
  let count = 0;
  for (const partition of traffic.filter((_, at) => at % own.of === own.index)) {
    const cursor = new SpoolCursor(folder, 'events', partition);
    for (let record = cursor.head; record !== undefined; record = cursor.head) {
      cursor.skip();
      const type = peekEventType(record.value);
      if (all && type !== null) count += type === ROW_EVENT ? 1 : 0;
      else {
        const event = eventOf(record, partition, record.offset);
        if (event !== null && share.isRow(event.trigger)) count += 1;
      }
    }
    cursor.close();
  }
  return count;
}

function canonical<Value>(value: Value): Value {
  return JSON.parse(canonicalJson(value)) as Value;
}

function sumOf(basis: Basis): number {
  let sum = 0;
  for (const topic of topicsOf(basis)) for (const offset of Object.values(basis.topics[topic] ?? {})) sum += offset;
  return sum;
}
