import { randomUUID } from 'node:crypto';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import { PoliciesApi, type PolicyStep } from '../client/policies-api.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { demandArtifact } from '../policy-file.js';
import { table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { YamlFile } from '../yaml-file.js';

export interface PolicyDoFlags extends DoorFlags {
  readonly reason: string;
  readonly key?: string;
  readonly dryRun?: boolean;
}
export interface PolicyMoveFlags extends PolicyDoFlags {
  /** The fact that was seen as the head; without it, the one that is there now. */
  readonly seen?: string;
  readonly to?: number;
}

const once = ({ reason, key }: PolicyDoFlags) => ({ reason, idempotency_key: key ?? randomUUID() });

/** @throws CONFIG_INVALID */
export function revisionIn(text: string): number {
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  throw new ProbityError('CONFIG_INVALID', `${text} is no revision: write its number`);
}

/** Sends a sealed file; with --dry-run it is only judged. */
export async function proposePolicy(
  units: UnitTable,
  path: string,
  flags: PolicyDoFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const { policy_rev, body } = demandArtifact(YamlFile.read(path));
  const { policy_id, revision } = policy_rev;
  const request = { artifact: { ...policy_rev, body }, ...once(flags) };
  if (flags.dryRun !== true)
    return await done(units, policy_id, 'proposals', flags, terminal, () => Promise.resolve(request));
  return await asking(units, flags, terminal, async (policies) => {
    await policies.check(policy_id, request);
    terminal.answer({ ...policy_rev, outcome: 'SOUND' }, [
      `Revision ${revision} of ${policy_id} would be sound in force. Nothing was kept.`,
    ]);
  });
}

export async function stepPolicy(
  units: UnitTable,
  policyId: string,
  revision: number,
  step: 'approve' | 'withdraw',
  flags: PolicyDoFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  return await done(units, policyId, step, flags, terminal, () => Promise.resolve({ revision, ...once(flags) }));
}

/** What is in force is looked at just before, unless it was seen earlier: two who act at once do not both win. */
export async function movePolicy(
  units: UnitTable,
  policyId: string,
  revision: number | undefined,
  flags: PolicyMoveFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const step = revision === undefined ? 'rollback' : 'activate';
  return await done(units, policyId, step, flags, terminal, async (policies) => {
    const expected = flags.seen ?? (await policies.show(policyId)).head?.fact_id ?? null;
    const named = revision ?? flags.to;
    return { ...(named === undefined ? {} : { revision: named }), expected, ...once(flags) };
  });
}

export async function listPolicies(units: UnitTable, flags: DoorFlags, terminal: Terminal): Promise<ExitCode> {
  return await asking(units, flags, terminal, async (policies) => {
    const found = await policies.list();
    terminal.answer({ policies: found }, [
      ...table(
        ['POLICY', 'IN FORCE', 'ACTIVATED', 'STATE', 'SINCE', 'BY'],
        found.map(({ policy_rev, activated, state, head }) => [
          ...[policy_rev.policy_id, short(policy_rev), activated === null ? '-' : short(activated), state],
          ...[head?.at_utc ?? '-', head?.by ?? '-'],
        ]),
      ),
      ...found.flatMap(({ policy_rev, refused }) =>
        refused === undefined ? [] : [`${policy_rev.policy_id}: ${refused}`],
      ),
    ]);
  });
}

/** A policy with its revisions; with a revision, its content. */
export async function showPolicy(
  units: UnitTable,
  policyId: string,
  revision: number | undefined,
  flags: DoorFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  return await asking(units, flags, terminal, async (policies) => {
    if (revision !== undefined) {
      const artifact = await policies.artifact(policyId, revision);
      terminal.answer(artifact, JSON.stringify(artifact, null, 2).split('\n'));
      return;
    }
    const shown = await policies.show(policyId);
    terminal.answer(shown, [
      `${policyId}: revision ${short(shown.policy_rev)} is in force here (${shown.state}); takes effect ${shown.takes_effect}.`,
      ...(shown.refused === undefined ? [] : [`Refused: ${shown.refused}`]),
      `Head: ${shown.head?.fact_id ?? 'none'}`,
      '',
      ...table(
        ['REVISION', 'STATE', 'SINCE', 'BY', 'PROPOSED BY', 'APPROVED BY'],
        shown.revisions.map(({ policy_rev, state, at_utc, by, proposed_by, approved_by }) => [
          ...[short(policy_rev), state, at_utc, by, proposed_by ?? '-', approved_by ?? '-'],
        ]),
      ),
    ]);
  });
}

/** Exit code 1 where the two differ, as `diff` has it. */
export async function diffPolicies(
  units: UnitTable,
  policyId: string,
  from: number,
  to: number,
  flags: DoorFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  let exit: ExitCode = EXIT.OK;
  await asking(units, flags, terminal, async (policies) => {
    const differences = await policies.diff(policyId, from, to);
    if (differences.length > 0) exit = EXIT.FAILED;
    terminal.answer({ policy_id: policyId, from, to, differences }, [
      ...table(
        ['AT', `REVISION ${from}`, `REVISION ${to}`],
        differences.map(({ at, left, right }) => [at, left, right]),
      ),
      ...(differences.length === 0 ? ['They say the same.'] : []),
    ]);
  });
  return exit;
}

async function done(
  units: UnitTable,
  policyId: string,
  step: PolicyStep,
  flags: DoorFlags,
  terminal: Terminal,
  request: (policies: PoliciesApi) => Promise<object>,
): Promise<ExitCode> {
  return await asking(units, flags, terminal, async (policies) => {
    const result = await policies.step(policyId, step, await request(policies));
    const { fact, outcome } = result;
    const side = (of: typeof fact.after): string => (of !== null && 'policy_id' in of ? short(of) : '-');
    const again = outcome === 'DUPLICATE' ? ', done before' : '';
    terminal.answer(result, [
      `${fact.kind}: ${policyId}, revision ${side(fact.after)} (fact ${fact.fact_id.slice(0, 12)}…${again})`,
    ]);
  });
}

async function asking(
  units: UnitTable,
  flags: DoorFlags,
  terminal: Terminal,
  work: (policies: PoliciesApi) => Promise<void>,
): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'policy', roles: ['ops'] }, async ({ api }) => {
    await work(new PoliciesApi(api));
    return EXIT.OK;
  });
}

function short({ revision, content_digest }: PolicyRev): string {
  return `${revision} (${content_digest.slice(0, 12)}…)`;
}
