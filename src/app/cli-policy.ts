import type { Command } from 'commander';
import { asCount, doorway, withJson } from './cli-options.js';
import type { CliOptions, Run } from './cli-run.js';
import {
  diffPolicies,
  listPolicies,
  movePolicy,
  type PolicyDoFlags,
  type PolicyMoveFlags,
  proposePolicy,
  revisionIn,
  showPolicy,
  stepPolicy,
} from './commands/policy-lanes.js';
import { sealPolicyFile } from './commands/policy-seal.js';
import type { DoorFlags } from './flags.js';

const EXITS = 'Exit codes: 0 done, 1 refused or failed (diff: the two differ), 2 what was written is wrong.';

/** The commands of people who write policies, approve them and put them in force. */
export function addPolicyCommands(program: Command, { table }: CliOptions, run: Run): void {
  const policy = program.command('policy').description('policies: seal, propose, approve, activate, go back');
  withJson(policy.command('seal <file>'))
    .description('take the digest of a policy file; raises its revision when the content has changed')
    .action((file: string, flags: object) => run(flags, (_, terminal) => sealPolicyFile(file, terminal)));

  const read = (words: string, description: string, example: string): Command =>
    doorway(policy.command(words))
      .description(description)
      .addHelpText('after', `\nExample:\n  ${example}\n\n${EXITS}`);
  const deed = (words: string, description: string, example: string): Command =>
    read(words, description, example)
      .requiredOption('--reason <text>', 'why; it is recorded')
      .option('--key <text>', 'the same key again is the same fact (default: one of its own)');
  const move = (words: string, description: string, example: string): Command =>
    deed(words, description, example).option(
      '--seen <fact>',
      'refuse where something else is in force than this fact put there',
    );

  read('list', 'what is in force, what was activated, and where the two differ', 'probity policy list').action(
    (flags: DoorFlags) => run(flags, (_, terminal) => listPolicies(table, flags, terminal)),
  );
  read('history <policy>', 'a policy, and its revisions with who did what', 'probity policy history df.rules').action(
    (id: string, flags: DoorFlags) => run(flags, (_, terminal) => showPolicy(table, id, undefined, flags, terminal)),
  );
  read('show <policy> <revision>', 'the content of a revision, verified', 'probity policy show df.rules 4').action(
    (id: string, number: string, flags: DoorFlags) =>
      run(flags, (_, terminal) => showPolicy(table, id, revisionIn(number), flags, terminal)),
  );
  read('diff <policy> <from> <to>', 'where two revisions differ', 'probity policy diff df.rules 3 4').action(
    (id: string, from: string, to: string, flags: DoorFlags) =>
      run(flags, (_, terminal) => diffPolicies(table, id, revisionIn(from), revisionIn(to), flags, terminal)),
  );
  deed(
    'propose <file>',
    'propose a sealed file; nothing comes into force',
    "probity policy propose rules.yaml --reason 'fewer alarms'",
  )
    .option('--dry-run', 'judge it alone, and keep nothing')
    .action((file: string, flags: PolicyDoFlags) =>
      run(flags, (_, terminal) => proposePolicy(table, file, flags, terminal)),
    );
  for (const [step, description] of [
    ['approve', 'say that a proposed revision may come into force'],
    ['withdraw', 'take back a revision that is not in force yet'],
  ] as const)
    deed(`${step} <policy> <revision>`, description, `probity policy ${step} df.rules 4 --reason 'read'`).action(
      (id: string, number: string, flags: PolicyDoFlags) =>
        run(flags, (_, terminal) => stepPolicy(table, id, revisionIn(number), step, flags, terminal)),
    );
  move(
    'activate <policy> <revision>',
    'put an approved revision in force, without a restart where the policy allows it',
    "probity policy activate df.rules 4 --reason 'approved yesterday'",
  ).action((id: string, number: string, flags: PolicyMoveFlags) =>
    run(flags, (_, terminal) => movePolicy(table, id, revisionIn(number), flags, terminal)),
  );
  move(
    'rollback <policy>',
    'put in force again what was before',
    "probity policy rollback df.rules --reason 'too many alarms'",
  )
    .option('--to <revision>', 'this one, which was in force earlier', asCount(1, 1_000_000_000))
    .action((id: string, flags: PolicyMoveFlags) =>
      run(flags, (_, terminal) => movePolicy(table, id, undefined, flags, terminal)),
    );
}
