import { type Actor } from '../../rails/actor.js';
import { digestCanonical } from '../../rails/canonical-json.js';
import { asDigest } from '../../rails/digest.js';
import { type Envelope } from '../../rails/envelope.schema.js';
import { asEnvelope } from '../../rails/envelope.js';
import { ReadySchema } from '../../rails/events/ready.schema.js';
import { PAYLOADS } from '../../rails/events/catalogue.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { defineRecipe } from '../../rails/identity-recipe.js';
import { asPins, isNoWorld, type RunPins } from '../../rails/pins.js';
import { type PolicyRev } from '../../rails/policy-rev.js';
import { type Ref } from '../../rails/ref.js';
import { type Sealed } from '../../rails/schema.js';
import { type UtcMicros } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import { type RunFailure, type RunIntent } from './scenario-runner.documents.js';
import {
  type LiveWorldSchema,
  liveParameters,
  readyMessageId,
  runIdOf,
  type RunFactsView,
  type RunPlan,
  type RunReady,
  type RunRequest,
  type RunState,
} from './scenario-runner.port.js';
import type { SealedOutput, WorldSeal, WorldPins } from './sealed-world.js';

/**
 * The states of a run, and where each may lead. A run only ever moves forward, and nothing leaves READY, FAILED or
 * QUARANTINED; the database refuses it as well. A live run has no engine and goes from PLANNED straight to VERIFYING, as
 * does a run whose world is sealed already.
 */
const NEXT: Readonly<Record<RunState, readonly RunState[]>> = {
  OPEN: ['PLANNED', 'FAILED', 'QUARANTINED'],
  PLANNED: ['EXECUTING', 'VERIFYING', 'FAILED', 'QUARANTINED'],
  EXECUTING: ['VERIFYING', 'FAILED', 'QUARANTINED'],
  VERIFYING: ['WAITING_EVIDENCE', 'READY', 'FAILED', 'QUARANTINED'],
  WAITING_EVIDENCE: ['READY', 'FAILED', 'QUARANTINED'],
  READY: [],
  FAILED: [],
  QUARANTINED: [],
};

export type Verdict = Extract<RunState, 'READY' | 'FAILED' | 'QUARANTINED'>;

export function isTerminal(state: RunState): state is Verdict {
  return NEXT[state].length === 0;
}

export function mayGo(from: RunState, to: RunState): boolean {
  return NEXT[from].includes(to);
}

/** @throws ProbityError INTERNAL: a step that goes back is a defect of the program */
export function demandStep(from: RunState, to: RunState): void {
  if (!mayGo(from, to)) throw new ProbityError('INTERNAL', `a run does not go from ${from} to ${to}`);
}

type LiveWorld = Sealed<typeof LiveWorldSchema>;
type Traffic = LiveWorld['traffic'][number];

const liveFingerprint = defineRecipe<
  { kind: 'live'; scenario_id: string; traffic: readonly Traffic[] },
  'ManifestFingerprint'
>('sr.live_world', 1, { kind: true, scenario_id: true, traffic: true });

/** The world of a live run: nothing was made of a seed, so that the seed is 0; what it declares is its parameters. */
export function livePinsOf(world: LiveWorld): WorldPins {
  return {
    manifest_fingerprint: liveFingerprint.derive({
      kind: 'live',
      scenario_id: world.scenario_id,
      traffic: world.traffic,
    }),
    parameter_hash: liveParameters(world) as WorldPins['parameter_hash'],
    seed: '0' as WorldPins['seed'],
    scenario_id: world.scenario_id,
  };
}

const byText = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
const typeAndVersion = ({ event_type, schema_version }: Traffic): string => `${event_type} ${schema_version}`;

/**
 * The request with its sets in one order, so that two ways to write the same intent have one fingerprint.
 * @throws ProbityError SR_SCENARIO_BINDING_INVALID for a request that contradicts itself
 */
export function settled(request: RunRequest): RunRequest {
  const { world, output_ids, supersedes, run_equivalence_key } = request;
  if (supersedes?.run_id === runIdOf(run_equivalence_key)) throw unbound('a run cannot supersede itself');
  const sorted = output_ids === undefined ? {} : { output_ids: [...output_ids].sort(byText) };
  if (world.kind !== 'live') return { ...request, ...sorted };

  if (output_ids !== undefined) throw unbound('a live run has no outputs: leave output_ids out');
  const traffic = [...world.traffic].sort((a, b) => byText(typeAndVersion(a), typeAndVersion(b)));
  const names = traffic.map(typeAndVersion);
  const twice = names.find((name, index) => name === names[index - 1]);
  if (twice !== undefined) throw unbound(`the traffic ${twice} is declared twice`);
  const known = new Set(PAYLOADS.map(typeAndVersion));
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined) throw unbound(`there is no payload schema for the traffic ${unknown}`);
  return { ...request, world: { ...world, traffic } };
}

export function unbound(detail: string): ProbityError {
  return new ProbityError('SR_SCENARIO_BINDING_INVALID', detail);
}

/** What `request.json` says of a settled request. */
export function intentOf(
  request: RunRequest,
  { worldPins, at, by }: { readonly worldPins: WorldPins; readonly at: UtcMicros; readonly by: Actor },
): RunIntent {
  const pins = asPins({ ...worldPins, run_id: runIdOf(request.run_equivalence_key) });
  if (isNoWorld(pins)) throw unbound('the world has no fingerprint');
  return {
    pins,
    kind: request.world.kind,
    request,
    intent_fingerprint: digestCanonical(request),
    requested_at_utc: at,
    requested_by: by,
  };
}

/** @throws ProbityError SR_EQUIV_KEY_COLLISION where another intent stands under the key (law R6: the first stands) */
export function demandSameIntent(standing: RunIntent, offered: RunIntent): void {
  if (standing.intent_fingerprint === offered.intent_fingerprint) return;
  throw new ProbityError(
    'SR_EQUIV_KEY_COLLISION',
    `run ${standing.pins.run_id} stands under this key with another intent`,
    {
      data: {
        run_id: standing.pins.run_id,
        standing: standing.intent_fingerprint,
        offered: offered.intent_fingerprint,
      },
    },
  );
}

export interface Gates {
  readonly required_gates: readonly string[];
  readonly attempts_max: number;
  readonly evidence_deadline_ms: number;
}

export function planOf(intent: RunIntent, gates: Gates, policy_rev: PolicyRev): RunPlan {
  return {
    run_id: intent.pins.run_id,
    pins: intent.pins,
    kind: intent.kind,
    outputs: intent.request.output_ids ?? [],
    required_gates: [...gates.required_gates].sort(byText),
    attempts_max: gates.attempts_max,
    evidence_deadline_ms: gates.evidence_deadline_ms,
    policy_rev,
  };
}

/**
 * Whether a plan that stands is one of this request. Gates and limits may be of an earlier policy (a process died between
 * plan and state, and the policy changed meanwhile): the plan that was committed first stands.
 */
export function isPlanOf(plan: RunPlan, intent: RunIntent): boolean {
  const mine = [intent.pins.run_id, intent.pins, intent.kind, intent.request.output_ids ?? []];
  return digestCanonical([plan.run_id, plan.pins, plan.kind, plan.outputs]) === digestCanonical(mine);
}

/** What a complete proof of a sealed world brings into the facts view; a live run has none. */
export interface Proven {
  readonly seal: WorldSeal;
  readonly sealRef: Ref;
  readonly outputs: readonly SealedOutput[];
  readonly receipts: RunFactsView['gate_receipts'];
}

/** The view is a function of request, plan and evidence alone: whoever builds it again, builds the same bytes. */
export function factsViewOf(intent: RunIntent, plan: RunPlan, planRef: Ref, proven: Proven | null): RunFactsView {
  const { world, supersedes } = intent.request;
  return {
    pins: plan.pins,
    kind: plan.kind,
    outputs: proven?.outputs ?? [],
    gate_receipts: proven?.receipts ?? [],
    traffic: world.kind === 'live' ? world.traffic : (proven?.outputs ?? []).flatMap(targetOf),
    ...(proven === null ? {} : ofSeal(proven)),
    plan: planRef,
    policy_rev: plan.policy_rev,
    ...(supersedes === undefined ? {} : { supersedes }),
  };
}

/** Only business traffic may ever be streamed. */
function targetOf({ role, output_id, event_type, schema_version }: SealedOutput): RunFactsView['traffic'] {
  if (role !== 'business_traffic' || event_type === undefined || schema_version === undefined) return [];
  return [{ event_type, schema_version, output_id }];
}

function ofSeal({ seal, sealRef }: Proven): Pick<RunFactsView, 'window' | 'counts' | 'seal'> {
  const { first_ts_utc, last_ts_utc, counts } = seal;
  const { rows_read, rows_sealed, rows_rejected } = counts;
  return {
    ...(first_ts_utc === undefined || last_ts_utc === undefined ? {} : { window: { first_ts_utc, last_ts_utc } }),
    counts: { rows_read, rows_sealed, rows_rejected },
    seal: sealRef,
  };
}

export function readyOf(pins: RunPins, factsView: Ref): RunReady {
  const message_id = asDigest(readyMessageId(pins.run_id, factsView.digest.hex));
  return { pins, facts_view: factsView, message_id };
}

const DETAIL_MAX = 2_000;

export function failureOf(
  pins: RunPins,
  end: { readonly state: 'FAILED' | 'QUARANTINED'; readonly reasons: RunFailure['reasons']; readonly detail: string },
  plan: Ref | null,
): RunFailure {
  return {
    pins,
    state: end.state,
    reasons: end.reasons,
    detail: end.detail.slice(0, DETAIL_MAX),
    ...(plan === null ? {} : { plan }),
  };
}

const signals = validatorOf(ReadySchema, 'the signal sr.ready');

/**
 * The READY signal. Its time is that of the request: the only moment of a run that is a fact with an author and the same
 * at every repetition. No trace either: what is sent again must be the same bytes.
 */
export function readyEnvelope(intent: RunIntent, { message_id, facts_view }: RunReady): Envelope {
  return asEnvelope({
    event_id: message_id,
    event_type: 'sr.ready',
    schema_version: 'v1',
    producer: 'sr',
    ts_utc: intent.requested_at_utc,
    ...intent.pins,
    payload: signals.demand({ message_id, facts_view }),
  });
}
