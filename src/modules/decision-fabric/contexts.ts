import { type Context } from '@opentelemetry/api';
import type { DecisionPlan, DecisionTrigger, FeaturesUse, GraphUse, PostureUse } from '../../rails/decision/inputs.js';
import type { DecisionPolicy } from '../../rails/decision/policy.schema.js';
import { postureUse } from '../../rails/decision/posture-freshness.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { joinable } from '../../rails/pins.js';
import type { Clock } from '../../substrate/clock/clock.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import type { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { type DegradeLadderPort, GLOBAL_SCOPE } from '../degrade-ladder/degrade-ladder.port.js';
import { CONTEXTS_MAX, type ContextResult, type EntityGraphPort } from '../entity-graph/entity-graph.port.js';
import { type FeaturePlanePort, type SnapshotResult, SNAPSHOTS_MAX } from '../feature-plane/feature-plane.port.js';

/**
 * What a call may take beyond the wait that it was given: transport, and the answer's own work. With the waits of the policy it stays below
 * the deadline of whoever waits for a verdict, so that a neighbour who hangs is a reason and not a time-out.
 */
export const CALL_SLACK_MS = 250;

export interface ContextPorts {
  readonly ladder: DegradeLadderPort;
  readonly features: FeaturePlanePort;
  readonly graph: EntityGraphPort;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

/** How much may be leant on. Whoever does not answer in time, or answers nonsense, has said nothing: the most restrictive holds. */
export async function postureNow(
  { ladder, clock, telemetry }: ContextPorts,
  { waits, posture_age_max_ms }: DecisionPolicy,
  trace: Context,
): Promise<PostureUse> {
  try {
    const call = outgoing(clock, waits.posture_ms, { trace });
    const { posture } = await ladder.posture({ scope_key: GLOBAL_SCOPE }, call);
    if (posture !== null && posture.scope_key !== GLOBAL_SCOPE)
      throw new ProbityError('RPC_RESPONSE_INVALID', 'the posture is of another scope');
    return postureUse(posture, clock.nowMs(), posture_age_max_ms);
  } catch (error) {
    telemetry.logger.warn('df_posture_unavailable', { code: codeOf(error), trace });
    return { status: 'UNAVAILABLE' };
  }
}

/**
 * What was known before each trigger, within the mask: with nothing to ask for, nobody is called (law R8). Triggers of one call are of one
 * run; a run's triggers go in as few calls as it takes.
 */
export async function featuresOf(
  ports: ContextPorts,
  triggers: readonly DecisionTrigger[],
  plan: DecisionPlan,
  { waits }: DecisionPolicy,
  trace: Context,
): Promise<ReadonlyMap<DecisionTrigger, FeaturesUse>> {
  const uses = new Map<DecisionTrigger, FeaturesUse>();
  if (plan.featureGroups.length === 0) {
    const status = plan.forbiddenGroups.length > 0 ? 'FORBIDDEN_BY_MASK' : 'NOT_REQUESTED_BY_PLAN';
    for (const trigger of triggers) uses.set(trigger, { status });
    return uses;
  }
  await Promise.all(
    callsOf(triggers, SNAPSHOTS_MAX).map(async (some) => {
      const answers = await ask(ports, some, plan, waits.features_ms, trace);
      some.forEach((trigger, at) =>
        uses.set(trigger, useOf(answers === null ? null : (answers[at] ?? null), trigger, plan)),
      );
    }),
  );
  return uses;
}

async function ask(
  { features, clock, telemetry }: ContextPorts,
  triggers: readonly DecisionTrigger[],
  plan: DecisionPlan,
  waitMs: number,
  trace: Context,
): Promise<readonly SnapshotResult[] | null> {
  const [first] = triggers;
  if (first === undefined) return [];
  try {
    const { results } = await features.snapshots(
      {
        pins: first.pins,
        triggers: triggers.map(placeOf),
        groups: [...plan.featureGroups],
        wait_ms: waitMs,
      },
      outgoing(clock, waitMs + CALL_SLACK_MS, { trace }),
    );
    return results.length === triggers.length ? results : null;
  } catch (error) {
    telemetry.logger.warn('df_features_unavailable', { code: codeOf(error), triggers: triggers.length, trace });
    return null;
  }
}

/** An answer about another event or another run, or that tells of a group which was not asked for (law R8), is none. */
function useOf(
  result: SnapshotResult | null,
  { eventId, pins }: DecisionTrigger,
  { featureGroups }: DecisionPlan,
): FeaturesUse {
  if (result === null) return { status: 'UNAVAILABLE' };
  switch (result.status) {
    case 'STALE':
      return { status: 'STALE_BEYOND_TOLERANCE' };
    case 'UNAVAILABLE':
      return { status: 'UNAVAILABLE' };
    case 'SERVED':
      return result.snapshot.trigger.event_id === eventId &&
        joinable(pins, result.snapshot.pins) &&
        result.snapshot.groups.every(({ name }) => featureGroups.includes(name))
        ? { status: 'USED', snapshot: result.snapshot }
        : { status: 'UNAVAILABLE' };
  }
}

/** What hung together with each trigger; not asked for where the plan does not want it or the mask forbids it (law R8). */
export async function graphsOf(
  { graph, clock, telemetry }: ContextPorts,
  triggers: readonly DecisionTrigger[],
  plan: DecisionPlan,
  { waits }: DecisionPolicy,
  trace: Context,
): Promise<ReadonlyMap<DecisionTrigger, GraphUse>> {
  const uses = new Map<DecisionTrigger, GraphUse>();
  const { graph: asked } = plan;
  if (asked !== 'ASK') {
    for (const trigger of triggers) uses.set(trigger, { status: asked });
    return uses;
  }
  await Promise.all(
    callsOf(triggers, CONTEXTS_MAX).map(async (some) => {
      const [first] = some;
      if (first === undefined) return;
      const request = { pins: first.pins, triggers: some.map(placeOf), wait_ms: waits.graph_ms };
      const results = await graph
        .contexts(request, outgoing(clock, waits.graph_ms + CALL_SLACK_MS, { trace }))
        .then((answer) => answer.results as readonly ContextResult[])
        .catch((error: unknown) => {
          telemetry.logger.warn('df_graph_unavailable', { code: codeOf(error), triggers: some.length, trace });
          return [];
        });
      some.forEach((trigger, at) => uses.set(trigger, graphUse(results[at], trigger)));
    }),
  );
  return uses;
}

/** An answer about another event or another run is none. */
function graphUse(result: ContextResult | undefined, { eventId, pins }: DecisionTrigger): GraphUse {
  switch (result?.status) {
    case undefined:
      return { status: 'UNAVAILABLE' };
    case 'UNAVAILABLE':
      return { status: 'UNAVAILABLE', reason: 'GRAPH_TOO_LATE' };
    case 'LAGGING':
      return { status: 'LAGGING' };
    case 'SERVED': {
      const { context } = result;
      const answers = context.trigger.event_id === eventId && joinable(pins, context.pins);
      return answers ? { status: 'USED', context } : { status: 'UNAVAILABLE' };
    }
  }
}

function placeOf({ eventId, eventType, tsUtc, partition, offset, payload }: DecisionTrigger) {
  return {
    event_id: eventId,
    event_type: eventType,
    ts_utc: tsUtc,
    partition,
    offset,
    payload: payload as never,
  };
}

/** By run, in pieces of one call each. */
function callsOf(triggers: readonly DecisionTrigger[], max: number): readonly (readonly DecisionTrigger[])[] {
  const byRun = new Map<string, DecisionTrigger[]>();
  for (const trigger of triggers) {
    const { pins } = trigger;
    const key = `${pins.run_id}\n${pins.manifest_fingerprint}\n${pins.parameter_hash}\n${pins.seed}\n${pins.scenario_id}`;
    const own = byRun.get(key);
    if (own === undefined) byRun.set(key, [trigger]);
    else own.push(trigger);
  }
  return [...byRun.values()].flatMap((own) => {
    const calls: DecisionTrigger[][] = [];
    for (let from = 0; from < own.length; from += max) calls.push(own.slice(from, from + max));
    return calls;
  });
}

function codeOf(error: unknown): string {
  return isProbityError(error) ? error.code : 'INTERNAL';
}
