import type { Command } from 'commander';
import { asCount, doorway } from './cli-options.js';
import type { CliOptions, Run } from './cli-run.js';
import {
  approveBundle,
  explainSlot,
  listBundles,
  promoteBundle,
  publishBundle,
  type RegistryDoFlags,
  type RegistryListFlags,
  registryLog,
  type RegistryPublishFlags,
  type RegistryResolveFlags,
  type RegistrySlotFlags,
  resolveSlot,
  retireBundle,
  rollBackBundle,
  showBundle,
} from './commands/registry.js';
import type { DoorFlags } from './flags.js';

const EXITS = 'Exit codes: 0 done, 1 refused or failed, 2 what was written is wrong.';

/** The commands of people who decide which bundle is active. */
export function addRegistryCommands(program: Command, { table }: CliOptions, run: Run): void {
  const registry = program.command('registry').description('bundles: which is active where, by whom and why');
  const help = (...examples: readonly string[]): string =>
    `\nExamples:\n${examples.map((each) => `  ${each}`).join('\n')}\n\n${EXITS}`;
  const read = (words: string, description: string, ...examples: readonly string[]): Command =>
    doorway(registry.command(words))
      .description(description)
      .addHelpText('after', help(...examples));
  const deed = (words: string, description: string, ...examples: readonly string[]): Command =>
    read(words, description, ...examples)
      .requiredOption('--reason <text>', 'why; it is recorded')
      .option('--key <text>', 'the same key again is the same fact (default: one of its own)');
  const inSlot = (words: string, description: string, ...examples: readonly string[]): Command =>
    deed(words, description, ...examples)
      .option('--slot <slot>', 'where', 'primary')
      .option('--seen <fact>', 'refuse where the slot has changed since this fact', asCount(0, 1_000_000_000));
  const paged = (command: Command): Command =>
    command
      .option('--limit <number>', 'at most so many', asCount(1, 200), 50)
      .option('--cursor <cursor>', 'go on after the page before');

  deed(
    'publish <file>',
    'register a bundle (JSON); nothing becomes active',
    "probity registry publish fraud.json --reason 'trained on May'",
  )
    .option(
      '--evidence <file>',
      'JSON of what speaks for it: train_run_id, dataset_manifests, eval_report, gate_receipt',
    )
    .action((file: string, flags: RegistryPublishFlags) =>
      run(flags, (_, terminal) => publishBundle(table, file, flags, terminal)),
    );
  deed(
    'approve <bundle>',
    'say that a version may become active',
    "probity registry approve fraud@3 --reason 'evaluation read'",
  ).action((name: string, flags: RegistryDoFlags) =>
    run(flags, (_, terminal) => approveBundle(table, name, flags, terminal)),
  );
  inSlot(
    'promote <bundle>',
    'make a version active, in place of what was',
    "probity registry promote fraud@3 --reason 'better on June'",
  ).action((name: string, flags: RegistrySlotFlags) =>
    run(flags, (_, terminal) => promoteBundle(table, name, flags, terminal)),
  );
  inSlot(
    'rollback',
    'make the version active again that was before',
    "probity registry rollback --reason 'too many alarms'",
  )
    .option('--to <bundle>', 'this one (ID@VERSION), which was active earlier')
    .action((flags: RegistrySlotFlags) => run(flags, (_, terminal) => rollBackBundle(table, flags, terminal)));
  deed(
    'retire <bundle>',
    'end a version; where it is active, nothing is afterwards',
    "probity registry retire fraud@1 --reason 'replaced'",
  ).action((name: string, flags: RegistryDoFlags) =>
    run(flags, (_, terminal) => retireBundle(table, name, flags, terminal)),
  );
  paged(read('list', 'versions, the last that was published first', 'probity registry list')).action(
    (flags: RegistryListFlags) => run(flags, (_, terminal) => listBundles(table, flags, terminal)),
  );
  read('show <bundle>', 'a version with all that happened to it', 'probity registry show fraud@3').action(
    (name: string, flags: DoorFlags) => run(flags, (_, terminal) => showBundle(table, name, flags, terminal)),
  );
  read('explain [slot]', 'what is active, and the facts that made it so', 'probity registry explain primary').action(
    (slot: string | undefined, flags: DoorFlags) =>
      run(flags, (_, terminal) => explainSlot(table, slot ?? 'primary', flags, terminal)),
  );
  read('resolve', 'what is active, or was', 'probity registry resolve --as-of 2026-11-01T00:00:00Z')
    .option('--slot <slot>', 'where', 'primary')
    .option('--as-of <time>', 'RFC 3339')
    .option('--as-of-seq <fact>', 'as of this fact', asCount(0, 1_000_000_000))
    .action((flags: RegistryResolveFlags) => run(flags, (_, terminal) => resolveSlot(table, flags, terminal)));
  paged(read('log', 'all facts, oldest first', 'probity registry log')).action((flags: RegistryListFlags) =>
    run(flags, (_, terminal) => registryLog(table, flags, terminal)),
  );
}
