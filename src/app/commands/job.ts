import { randomUUID } from 'node:crypto';
import type { JsonObject } from '../../rails/canonical-json.js';
import { canonicalJson } from '../../rails/canonical-json.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { JobApi, type ShownJob } from '../client/job-api.js';
import type { DoorRole } from '../client/door-api.js';
import { polled } from '../client/journey.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { figures, table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';

const ENDED: ReadonlySet<string> = new Set(['COMPLETED', 'FAILED', 'ABORTED']);
const JOB_ROLES = ['ops'] as const;
/** Whom a kind asks, beside the role that runs it. */
const ASKED: Readonly<Record<string, readonly DoorRole[]>> = {
  reconcile_run: ['sr', 'wsp', 'ig', 'labels', 'dla'],
  backfill: ['ofp', 'ieg'],
};

export interface JobRunFlags extends DoorFlags {
  readonly purpose: string;
  readonly scope: string;
  readonly opId?: string;
  /** False with --no-wait. */
  readonly wait: boolean;
}

/** Declares a job and waits for its end. Exit 1 where it did not complete. */
export async function runJob(
  units: UnitTable,
  kind: string,
  flags: JobRunFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const intent = { op_id: flags.opId ?? randomUUID(), kind, scope: scopeFrom(flags.scope), purpose: flags.purpose };
  const roles = [...JOB_ROLES, ...(ASKED[kind] ?? [])];
  return await throughDoor({ table: units, flags, terminal, name: 'job', roles }, async (travel) => {
    const api = new JobApi(travel.api);
    const { outcome } = await api.declare(intent);
    const shown = await polled(
      travel,
      async () => {
        const now = await api.show(intent.op_id);
        travel.progress.say(`The job ${intent.op_id} is ${now.job.state}`);
        return now;
      },
      ({ job }) => !flags.wait || ENDED.has(job.state),
    );
    travel.progress.clear();
    terminal.answer({ outcome, ...shown }, linesOf(shown));
    return !flags.wait || shown.job.state === 'COMPLETED' ? EXIT.OK : EXIT.FAILED;
  });
}

export async function showJob(units: UnitTable, opId: string, flags: DoorFlags, terminal: Terminal): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'job', roles: JOB_ROLES }, async (travel) => {
    const shown = await new JobApi(travel.api).show(opId);
    terminal.answer(shown, linesOf(shown));
    return EXIT.OK;
  });
}

/** Lets a job run that somebody else declared, or ends one. */
export async function decideJob(
  units: UnitTable,
  what: 'approve' | 'cancel',
  opId: string,
  flags: DoorFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'job', roles: JOB_ROLES }, async (travel) => {
    const job = await new JobApi(travel.api).decide(opId, what);
    terminal.answer({ job }, [`The job ${opId} is ${job.state}.`]);
    return EXIT.OK;
  });
}

export interface JobListFlags extends DoorFlags {
  readonly kind?: string;
  readonly limit: number;
  readonly cursor?: string;
}

/** Jobs, youngest first, and the kinds that there are. */
export async function listJobs(units: UnitTable, flags: JobListFlags, terminal: Terminal): Promise<ExitCode> {
  const { kind, limit, cursor } = flags;
  return await throughDoor({ table: units, flags, terminal, name: 'job', roles: JOB_ROLES }, async (travel) => {
    const page = await new JobApi(travel.api).list({ kind, limit, cursor });
    terminal.answer(page, [
      ...table(
        ['JOB', 'KIND', 'STATE', 'BY', 'DECLARED', 'PURPOSE'],
        page.jobs.map((job) => [
          ...[job.op_id, job.kind, job.detail.code ?? job.state],
          ...[job.declared_by.actor_id, job.declared_at_utc, job.purpose],
        ]),
      ),
      ...(page.next_cursor === undefined ? [] : [`There are more: --cursor ${page.next_cursor}`]),
      ...page.kinds.map((one) => `${one.kind}: ${one.summary}`),
    ]);
    return EXIT.OK;
  });
}

function scopeFrom(text: string): JsonObject {
  try {
    const scope: unknown = JSON.parse(text);
    if (typeof scope === 'object' && scope !== null && !Array.isArray(scope)) return scope as JsonObject;
  } catch {
    // Said below, like any other text that is none.
  }
  throw new ProbityError('CONFIG_INVALID', `--scope is an object of JSON, such as '{"run_id":"…"}'`);
}

function linesOf({ job, steps, receipt }: ShownJob): readonly string[] {
  return [
    ...figures([
      ['job', job.op_id],
      ['kind', job.kind],
      ['scope', canonicalJson(job.scope)],
      ['purpose', job.purpose],
      ['state', job.state],
      ...(job.detail.code === undefined ? [] : [['why', `${job.detail.code}: ${job.detail.says ?? ''}`] as const]),
    ]),
    ...table(
      ['STEP', 'AT', 'BY'],
      steps.map(({ state, at, actor }) => [state, at, actor.actor_id]),
    ),
    ...(receipt?.outputs === undefined || receipt.outputs === null ? [] : [canonicalJson(receipt.outputs)]),
    ...(job.detail.receipt === undefined ? [] : [`Receipt: ${job.detail.receipt.locator}`]),
  ];
}
