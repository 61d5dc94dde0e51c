import { type Bundle, bundleDigest } from '../../rails/model/bundle.schema.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Rules } from '../../rails/decision/rules.schema.js';
import { RULES_POLICY } from '../../modules/decision-fabric/decision-fabric.policy.js';
import { DecisionApi, type DecisionAnswerView } from '../client/decision-api.js';
import { counterfactualReport, named, verificationReport, verified } from '../client/decided.js';
import type { Travel } from '../client/journey.js';
import { thousands } from '../client/progress.core.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { artifactOf } from '../policy-file.js';
import { policyOf } from '../profile.js';
import { table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { YamlFile } from '../yaml-file.js';
import { readBundle } from './bundle-file.js';
import { runIdFrom } from './run.js';

/** What a decision is looked up, explained or made again with: the fabric and everything that it calls. */
const ROLES = ['df', 'ig', 'ofp', 'ieg', 'dl', 'edge', 'mpr'] as const;

export interface DecisionListFlags extends DoorFlags {
  readonly limit: number;
  readonly cursor?: string;
  readonly run?: string;
  readonly entity?: string;
  readonly outcome?: string;
  readonly reason?: string;
}

export async function listDecisions(units: UnitTable, flags: DecisionListFlags, terminal: Terminal): Promise<ExitCode> {
  const { limit, cursor, entity: entity_key, outcome, reason } = flags;
  const run = flags.run === undefined ? undefined : runIdFrom(flags.run);
  return await throughDoor({ table: units, flags, terminal, name: 'decision', roles: ROLES }, async ({ api }) => {
    const page = await new DecisionApi(api).decisions({ limit, cursor, entity_key, outcome, reason, run });
    terminal.answer(page, [
      ...table(
        ['DECISION', 'TIME', 'ENTITY', 'OUTCOME', 'REASONS'],
        page.decisions.map((row) => [
          row.decision_id.slice(0, 16),
          row.ts_utc,
          row.entity_key,
          row.outcome,
          row.reason_codes.join(', ') || '-',
        ]),
      ),
      ...(page.next_cursor === undefined ? [] : [`More: --cursor ${page.next_cursor}`]),
    ]);
    return EXIT.OK;
  });
}

/** Why a decision came out as it did: the record alone, told for people. */
export async function explainDecision(
  units: UnitTable,
  id: string,
  flags: DoorFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'explain', roles: ROLES }, async ({ api }) => {
    const view = await new DecisionApi(api).decision(id);
    terminal.answer(view, explanationOf(view, textsOf(flags.profile, view)));
    return EXIT.OK;
  });
}

/** Texts of rules for people, from the profile, if it is the revision that the decision cites. */
function textsOf(profile: string, { decision }: DecisionAnswerView): ReadonlyMap<string, string> {
  const { policy_rev, body } = policyOf(profile, RULES_POLICY);
  if (policy_rev.content_digest !== decision.rules.policy_rev.content_digest) return new Map();
  const { lists } = body as unknown as Rules;
  return new Map(lists.flatMap(({ rules }) => rules.map(({ id, text }) => [id, text] as const)));
}

function opinionOf({
  score_e6,
  skipped,
  contributions = [],
}: Pick<DecisionAnswerView['decision']['model'], 'score_e6' | 'skipped' | 'contributions'>): readonly string[] {
  return [
    score_e6 === undefined ? `  no score: ${skipped ?? 'unknown'}` : `  score ${(score_e6 / 1e6).toFixed(6)}`,
    ...contributions.map(
      ({ feature, value, contribution_e6 }) =>
        `    ${feature} = ${value ?? 'missing'}: ${contribution_e6 < 0 ? '−' : '+'}${(Math.abs(contribution_e6) / 1e6).toFixed(3)} log odds`,
    ),
  ];
}

export function explanationOf(view: DecisionAnswerView, texts: ReadonlyMap<string, string>): readonly string[] {
  const { decision, eb_ref, admitted_at_utc, timeouts } = view;
  const { source_event: source, posture, bundle, features, graph, model, rules } = decision;
  const revision = ({ policy_id, revision: number, content_digest }: typeof decision.policy_rev): string =>
    `${policy_id} revision ${number} (${content_digest.slice(0, 12)}…)`;
  return [
    `Decision ${decision.decision_id}: ${decision.outcome}`,
    `  about event ${source.event_id} (${source.event_type}) of ${decision.entity_key}, ${source.ts_utc}`,
    `    at ${source.eb_ref.topic}/${source.eb_ref.partition}/${source.eb_ref.offset}, content ${source.payload_hash.slice(0, 12)}…`,
    `  stands at ${eb_ref.topic}/${eb_ref.partition}/${eb_ref.offset}${admitted_at_utc === undefined ? '' : `, admitted ${admitted_at_utc}`}`,
    `  reasons: ${decision.reason_codes.join(', ') || 'none: nothing spoke against it'}`,
    'Rules',
    `  ${revision(rules.policy_rev)}`,
    ...rules.hits.map(
      ({ rule_id, list, outcome, reason_code }) =>
        `  ${rule_id} (${list})${outcome === undefined ? '' : ` → ${outcome}`}: ${texts.get(rule_id) ?? reason_code}`,
    ),
    ...rules.faults.map(({ rule_id, fault }) => `  ${rule_id} could not be evaluated: ${fault}`),
    ...rules.shadow_hits.map(({ rule_id }) => `  ${rule_id} is only watched, and would have spoken`),
    'Model',
    bundle.status === 'ACTIVE' ? `  ${named(bundle)}` : `  none: ${bundle.reason}`,
    ...opinionOf(model),
    ...(model.stage2 === undefined ? [] : [`  second stage ${named(model.stage2)}`, ...opinionOf(model.stage2)]),
    'What it stood on',
    `  posture ${posture.mode} (${posture.status}${posture.posture_seq === undefined ? '' : `, number ${posture.posture_seq} of ${posture.scope_key ?? ''}, confirmed ${posture.decided_at_utc ?? ''}`})`,
    `  features ${features.status}${features.reason === undefined ? '' : `: ${features.reason}`}${features.feature_snapshot_hash === undefined ? '' : `, snapshot ${features.feature_snapshot_hash.slice(0, 12)}…`}`,
    ...(features.definitions === undefined ? [] : [`    ${revision(features.definitions)}`]),
    ...(features.groups ?? []).map(({ name, version, status }) => `    ${name} v${version}: ${status}`),
    ...(features.forbidden_groups ?? []).map((name) => `    ${name}: forbidden by the posture`),
    ...(features.input_basis === undefined
      ? []
      : [`    up to basis ${features.input_basis.basis_digest.slice(0, 12)}…`]),
    `  graph ${graph.status}${graph.reason === undefined ? '' : `: ${graph.reason}`}`,
    `  policy ${revision(decision.policy_rev)}`,
    'What it asked for',
    ...(decision.actions.length === 0 ? ['  nothing'] : []),
    ...decision.actions.map(
      ({ action_domain, action_type, target, idempotency_key }) =>
        `  ${action_type} (${action_domain}) for ${target.type} ${target.id}, once under ${idempotency_key.slice(0, 12)}…`,
    ),
    ...timeouts.map(
      ({ outcome, deadline_ms, answered_at }) =>
        `Before it came, ${outcome} was answered at ${answered_at}: the deadline of ${thousands(deadline_ms)} ms had ended.`,
    ),
  ];
}

export interface VerifyFlags extends DoorFlags {
  readonly run?: string;
}

/** Makes the decisions of a run again from the bus, and compares them byte for byte. Exit 1 on any difference. */
export async function verifyRun(units: UnitTable, flags: VerifyFlags, terminal: Terminal): Promise<ExitCode> {
  const { run } = flags;
  if (run === undefined)
    throw new ProbityError(
      'CONFIG_INVALID',
      'say what to verify: --run RUN, probity verify decision ID, or probity verify audit',
    );
  return await verify(units, flags, terminal, () => Promise.resolve({ run_id: runIdFrom(run) }));
}

/** Makes one decision again from the bus. */
export async function verifyDecision(
  units: UnitTable,
  id: string,
  flags: DoorFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  return await verify(units, flags, terminal, async ({ api }) => {
    const { run_id } = await new DecisionApi(api).decision(id);
    return { run_id, decision_id: id };
  });
}

async function verify(
  units: UnitTable,
  flags: DoorFlags,
  terminal: Terminal,
  wanted: (travel: Travel) => Promise<object>,
): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'verify', roles: ROLES }, async (travel) => {
    const found = await verified(travel, await wanted(travel));
    travel.progress.clear();
    const { document, lines, ok } = verificationReport(found);
    terminal.answer(document, lines);
    return ok ? EXIT.OK : EXIT.FAILED;
  });
}

export interface CounterfactualFlags extends DoorFlags {
  readonly run: string;
  readonly rules?: string;
  readonly bundle?: string;
  readonly features?: string;
  readonly policy?: string;
}

/** What other artifacts would have made of the same events; exit 1 where one would have had another outcome. Nothing of it is ever in force. */
export async function counterfactual(
  units: UnitTable,
  flags: CounterfactualFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const files = { rules: flags.rules, features: flags.features, policy: flags.policy };
  const other = Object.fromEntries([
    ...Object.entries(files).flatMap(([name, file]) =>
      file === undefined ? [] : [[name, artifactOf(YamlFile.read(file)).body as unknown] as const],
    ),
    ...(flags.bundle === undefined ? [] : [['bundles', supposing(readBundle(flags.bundle))] as const]),
  ]);
  if (Object.keys(other).length === 0)
    throw new ProbityError(
      'CONFIG_INVALID',
      'say what is to be other: --rules, --bundle, --features or --policy FILE, one or several',
    );
  return await throughDoor({ table: units, flags, terminal, name: 'counterfactual', roles: ROLES }, async (travel) => {
    const found = await verified(travel, { run_id: runIdFrom(flags.run), counterfactual: other });
    travel.progress.clear();
    const { document, lines, ok } = counterfactualReport(found);
    terminal.answer(document, lines);
    return ok ? EXIT.OK : EXIT.FAILED;
  });
}

/** As if it were the only one that is active. */
function supposing(bundle: Bundle): object {
  return { active: { digest: bundleDigest(bundle), bundle }, shadow: [] };
}
