import { rm } from 'node:fs/promises';
import { Injectable } from '@nestjs/common';
import { asBasis } from '../../rails/basis.js';
import { canonicalJson } from '../../rails/canonical-json.js';
import type { Digest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { FeatureDefinitions } from '../../rails/features/definition.schema.js';
import { differingPins } from '../../rails/pins.js';
import { objectKey, type ObjectKey } from '../../rails/ref.js';
import { toEpochMicros } from '../../rails/time.js';
import { Bus } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { FEATURES_POLICY } from '../feature-plane/feature-plane.port.js';
import { LabelStorePort, type Slice } from '../label-store/label-store.port.js';
import { ArchivePort } from '../run-operate/archive.port.js';
import { readRunFacts } from '../scenario-runner/run-facts.port.js';
import type { BuildJob, ShareResult } from './build-job.js';
import { BuildPace } from './build-pace.js';
import { inProcess } from './build-workers.js';
import { collect, type Collected } from './collect.js';
import { columnsOf, labelledRows, noRows, type RowCounts, uniqueRows } from './dataset-rows.js';
import type { Built, BuildPlan, Parity } from './dataset.schema.js';
import { LabelLines } from './label-lines.js';
import { parquetOf } from './parquet-rows.js';
import { openScratchFolder } from '../../substrate/scratch-folder.js';

/** A slice of a million labels takes the better part of a minute. */
const SLICE_LIMIT_MS = 600_000;

export function datasetKey(planId: string, rest: string): ObjectKey {
  return objectKey(`ofs/datasets/${planId}/${rest}`);
}

/** Makes what a plan says: reads the log once, has processes work on shares of it, and writes one file of rows in order. */
@Injectable()
export class DatasetBuild {
  constructor(
    private readonly bus: Bus,
    private readonly objects: Objects,
    private readonly labels: LabelStorePort,
    private readonly archive: ArchivePort,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly pace: BuildPace,
  ) {}

  /** @throws OFS_ codes as the job tells them; what the signal was aborted with; LBL_, OBJECTS_ and BUS_ codes */
  async make(planId: Digest, plan: BuildPlan, signal: AbortSignal): Promise<Built> {
    await this.#demandFacts(plan);
    const definitions = this.#definitionsOf(plan);
    const folder = await openScratchFolder('ofs', this.clock.nowMs());
    try {
      const basis = asBasis(plan.replay_basis);
      const sources = { bus: this.bus, archive: this.archive, objects: this.objects, clock: this.clock };
      const collected = await collect({ sources, plan, basis, folder, signal });
      const anchor = anchorOf(plan, collected);
      const shares = await this.#shares(plan, definitions, { folder, collected, anchor }, signal);
      const parity = parityOf(collected, shares);
      if (parity.outcome === 'MISMATCH')
        throw new ProbityError('OFS_PARITY_MISMATCH', `${parity.mismatch} of ${parity.decisions} decisions differ`, {
          data: { parity: parity as never },
        });
      const whole = { anchor, ranges: collected.ranges, parity };
      if (plan.kind === 'parity_rebuild') return { ...whole, label: null, ...summary(noRows(), shares, 0) };
      return { ...whole, ...(await this.#materialised(planId, plan, definitions, shares)) };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #demandFacts(plan: BuildPlan): Promise<void> {
    const facts = await readRunFacts(this.objects, plan.pins.run_id);
    if (facts === null) throw new ProbityError('OFS_RUN_NOT_READY', `run ${plan.pins.run_id} is not READY`);
    if (
      differingPins(facts.view.pins, plan.pins).length > 0 ||
      facts.ready.facts_view.digest.hex !== plan.facts_view_digest
    )
      throw new ProbityError('OFS_NO_PASS_NO_READ', 'the run stands on other facts than those that the plan names');
  }

  #definitionsOf({ definitions }: BuildPlan): FeatureDefinitions {
    const { policy_rev, body } = this.policies.inForce(FEATURES_POLICY);
    if (canonicalJson(policy_rev) === canonicalJson(definitions)) return body;
    throw new ProbityError(
      'OFS_FEATURE_PROFILE_UNRESOLVED',
      `the plan names revision ${definitions.revision} of ${definitions.policy_id}, and ${policy_rev.revision} is in force`,
    );
  }

  async #shares(
    plan: BuildPlan,
    body: FeatureDefinitions,
    { folder, collected, anchor }: { folder: string; collected: Collected; anchor: 'decision' | 'event' },
    signal: AbortSignal,
  ): Promise<readonly ShareResult[]> {
    const { from_utc: from, to_utc: to } = plan.rows;
    const { workers, program } = this.pace;
    const job = {
      folder,
      pins: plan.pins,
      definitions: { policy_rev: plan.definitions, body },
      groups: plan.feature_groups,
      basis: plan.replay_basis,
      rows: {
        from: from === undefined ? null : toEpochMicros(from),
        to: to === undefined ? null : toEpochMicros(to),
      },
      traffic: collected.traffic,
      control: collected.control,
    };
    const run = async <Result>(one: Pick<BuildJob, 'kind' | 'share' | 'timeline'>): Promise<Result> =>
      await inProcess<Result>(program, { ...job, ...one }, signal);
    const timeline =
      anchor === 'decision'
        ? []
        : await run<readonly string[]>({ kind: 'timeline', share: { index: 0, of: 1 }, timeline: [] });
    const kind = anchor === 'decision' ? 'decided' : 'undecided';
    return await Promise.all(
      Array.from({ length: workers }, (_, index) =>
        run<ShareResult>({ kind, share: { index, of: workers }, timeline }),
      ),
    );
  }

  async #materialised(
    planId: Digest,
    plan: BuildPlan,
    definitions: FeatureDefinitions,
    shares: readonly ShareResult[],
  ): Promise<Omit<Built, 'anchor' | 'ranges' | 'parity'>> {
    const files = shares.flatMap((share) => share.files);
    const slice = plan.label === null ? null : await this.#sliceOf(planId, plan, plan.label, files);
    const known = slice === null ? null : new LabelLines(this.objects.open(slice.rows));
    const columns = columnsOf(plan, definitions);
    const counts = noRows();
    const key = datasetKey(planId, 'rows.parquet');
    const put = await this.objects.putIfAbsent(key, parquetOf(columns, labelledRows(plan, files, known, counts)), {
      mediaType: 'application/vnd.apache.parquet',
    });
    if (put.outcome === 'CONFLICT')
      throw new ProbityError('OFS_COMMIT_CONFLICT', 'the same plan came out as other rows than before');
    if (counts.kept === 0) throw new ProbityError('OFS_UNSATISFIABLE', 'no row is left of what the plan asks for');
    const share = Math.floor((counts.known * 1_000_000) / counts.seen);
    if (plan.label?.coverage_min_ppm !== undefined && share < plan.label.coverage_min_ppm)
      throw new ProbityError('OFS_COVERAGE_BELOW_THRESHOLD', `${share} millionths of the rows are known`);
    const payments = shares.reduce((sum, each) => sum + each.payments, 0);
    return {
      label: slice === null || plan.label === null ? null : labelUse(plan.label, slice, counts),
      ...summary(counts, shares, payments),
      materialisations: [{ ref: put.ref, rows: counts.kept, columns }],
    };
  }

  /** What was known of the rows: the label store is asked once, about an object with all of them. */
  async #sliceOf(
    planId: Digest,
    { pins }: BuildPlan,
    label: NonNullable<BuildPlan['label']>,
    files: readonly string[],
  ): Promise<Slice> {
    const lines = (async function* () {
      for await (const page of uniqueRows(files))
        yield Buffer.from(page.map(({ id }) => `${canonicalJson({ event_id: id, kind: 'EVENT' })}\n`).join(''));
    })();
    const { ref, outcome } = await this.objects.putIfAbsent(datasetKey(planId, 'targets.ndjson'), lines, {
      mediaType: 'application/x-ndjson',
    });
    if (outcome === 'CONFLICT')
      throw new ProbityError('OFS_COMMIT_CONFLICT', 'the same plan came out as other payments than before');
    const { label_type, as_of_utc, rule_id } = label;
    return await this.labels.slice(
      {
        ...{ run_id: pins.run_id, label_type, as_of_utc, targets: ref },
        ...(rule_id === undefined ? {} : { rule_id }),
      },
      outgoing(this.clock, SLICE_LIMIT_MS),
    );
  }
}

function anchorOf({ anchor }: BuildPlan, { decisions }: Collected): 'decision' | 'event' {
  if (anchor === 'decision' && decisions === 0)
    throw new ProbityError('OFS_UNSATISFIABLE', 'the run has no decisions within the basis');
  if (anchor !== 'auto') return anchor;
  return decisions === 0 ? 'event' : 'decision';
}

function parityOf({ decisions }: Collected, shares: readonly ShareResult[]): Parity {
  const uncheckable = added(shares.map((share) => share.uncheckable));
  const match = shares.reduce((sum, share) => sum + share.match, 0);
  const mismatch = shares.reduce((sum, share) => sum + share.mismatch, 0);
  const outcome =
    mismatch > 0
      ? 'MISMATCH'
      : Object.keys(uncheckable).length > 0
        ? 'UNCHECKABLE'
        : decisions > 0
          ? 'MATCH'
          : 'NO_DECISIONS';
  const first = shares.flatMap(({ mismatches }) => mismatches).sort((a, b) => (a.event_id < b.event_id ? -1 : 1));
  return {
    ...{ outcome, decisions, match, mismatch, uncheckable },
    not_served: added(shares.map(({ notServed }) => notServed)),
    first_mismatches: first.slice(0, 10),
  };
}

function labelUse(
  label: NonNullable<BuildPlan['label']>,
  slice: Slice,
  counts: RowCounts,
): NonNullable<Built['label']> {
  const { rule_id, policy_rev, ledger_seq } = slice.basis;
  return {
    ...label,
    ...{ rule_id, policy_rev, ledger_seq },
    ...{ slice_id: slice.slice_id, slice_rows: slice.rows, by_state: sorted(counts.byLabel), by_value: slice.by_value },
  };
}

function summary(
  counts: RowCounts,
  shares: readonly ShareResult[],
  payments: number,
): Omit<Built, 'anchor' | 'ranges' | 'parity' | 'label'> {
  const dropped = added([...shares.map((share) => share.dropped), counts.dropped]);
  const built =
    counts.seen + Object.entries(dropped).reduce((sum, [why, n]) => (NEVER_A_ROW.has(why) ? sum + n : sum), 0);
  const undecided = Math.max(0, payments - built);
  return {
    rows_seen: payments,
    rows_kept: counts.kept,
    dropped: undecided === 0 ? dropped : sorted({ ...dropped, NO_DECISION: undecided }),
    by_split: sorted(counts.bySplit),
    by_features_status: sorted(counts.byStatus),
    materialisations: [],
  };
}

/** Decided payments that came to no row. */
const NEVER_A_ROW: ReadonlySet<string> = new Set(['BASIS_BEYOND_BUILD']);

function added(parts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const part of parts) for (const [name, count] of Object.entries(part)) sums[name] = (sums[name] ?? 0) + count;
  return sorted(sums);
}

function sorted(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}
