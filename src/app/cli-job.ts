import type { Command } from 'commander';
import { asCount, doorway } from './cli-options.js';
import type { CliOptions, Run } from './cli-run.js';
import { decideJob, type JobListFlags, type JobRunFlags, listJobs, runJob, showJob } from './commands/job.js';
import type { DoorFlags } from './flags.js';

const EXITS = 'Exit codes: 0 done, 1 not completed or failed, 2 what was written is wrong.';

/** The commands about declared work. */
export function addJobCommands(program: Command, { table }: CliOptions, run: Run): void {
  const job = program.command('job').description('declared work: once per op_id, step by step, with a receipt');

  doorway(job.command('run <kind>'))
    .description('declare a job, and wait for its end')
    .requiredOption('--purpose <text>', 'why')
    .option('--scope <json>', 'what it may touch; `probity job list` names the kinds', '{}')
    .option('--op-id <text>', 'the same again is the same job (default: one of its own)')
    .option('--no-wait', 'declare it, and do not wait')
    .addHelpText(
      'after',
      `\nExamples:\n  probity job run archive_verify --purpose 'before the audit'\n  probity job run archive_verify --scope '{"topic":"fp.bus.traffic.v1"}' --purpose 'a drill'\n  probity job run retention_apply --purpose 'the disk is nearly full'\n  probity job run drain --scope '{"within_ms":300000}' --purpose 'before the upgrade'\n\n${EXITS}`,
    )
    .action((kind: string, flags: JobRunFlags) => run(flags, (_, terminal) => runJob(table, kind, flags, terminal)));

  doorway(job.command('list'))
    .description('jobs, youngest first, and the kinds that there are')
    .option('--kind <kind>', 'of this kind alone')
    .option('--limit <number>', 'at most so many', asCount(1, 200), 20)
    .option('--cursor <cursor>', 'go on after the page before')
    .addHelpText('after', `\nExamples:\n  probity job list\n\n${EXITS}`)
    .action((flags: JobListFlags) => run(flags, (_, terminal) => listJobs(table, flags, terminal)));

  doorway(job.command('show <op_id>'))
    .description('where a job stands, how it got there, and its receipt')
    .addHelpText('after', `\nExamples:\n  probity job show nightly-2026-01-31\n\n${EXITS}`)
    .action((opId: string, flags: DoorFlags) => run(flags, (_, terminal) => showJob(table, opId, flags, terminal)));

  for (const [what, says] of [
    ['approve', 'let a job run that somebody else declared'],
    ['cancel', 'end a job that nobody wants any more'],
  ] as const)
    doorway(job.command(`${what} <op_id>`))
      .description(says)
      .addHelpText('after', `\nExamples:\n  probity job ${what} nightly-2026-01-31\n\n${EXITS}`)
      .action((opId: string, flags: DoorFlags) =>
        run(flags, (_, terminal) => decideJob(table, what, opId, flags, terminal)),
      );
}
