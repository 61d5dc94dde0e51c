import type { Command } from 'commander';
import { asCount, doorway } from './cli-options.js';
import type { CliOptions, Run } from './cli-run.js';
import {
  counterfactual,
  type CounterfactualFlags,
  type DecisionListFlags,
  explainDecision,
  listDecisions,
  verifyDecision,
  verifyRun,
  type VerifyFlags,
} from './commands/decision.js';
import { dryRun, type DryRunFlags } from './commands/dry-run.js';
import type { DoorFlags } from './flags.js';

const EXITS = 'Exit codes: 0 done, 1 failed, 2 what was written is wrong, 3 a stop ran out of time.';
const EXITS_VERIFIED =
  'Exit codes: 0 every decision comes out as it was recorded, 1 one differs or something failed, 2 what was written is wrong.';

const EXITS_ALIKE =
  'Exit codes: 0 every decision would have had the same outcome, 1 one would not (the first is named) or something failed, 2 what was written is wrong.';

const EXITS_DRY_RUN =
  'Exit codes: 0 it was made, whatever came out, 1 there is no report (a decision differs without any change, or there was none), 2 what was written is wrong.';

const help = (examples: readonly string[], exits: string): string =>
  `\nExamples:\n${examples.map((line) => `  ${line}`).join('\n')}\n\n${exits}`;

/** The commands that ask why, and whether it was right. Each works wherever the roles run. @returns `verify`, below which others check more */
export function addDecisionCommands(program: Command, { table }: CliOptions, run: Run): Command {
  const decision = program.command('decision').description('decisions, as they were recorded');
  doorway(decision.command('list'))
    .description('list decisions, youngest first')
    .option('--limit <number>', 'at most so many', asCount(1, 200), 20)
    .option('--cursor <cursor>', 'go on after the page before')
    .option('--run <run>', 'of this run alone')
    .option('--entity <key>', 'of this card, account or customer alone')
    .option('--outcome <outcome>', 'APPROVE, STEP_UP, QUEUE or DECLINE alone')
    .option('--reason <code>', 'with this reason alone')
    .addHelpText('after', help(['probity decision list --run live --outcome DECLINE'], EXITS))
    .action((flags: DecisionListFlags) => run(flags, (_, terminal) => listDecisions(table, flags, terminal)));

  doorway(decision.command('dry-run'))
    .description('what other rules, another policy or bundle would have decided: counts, money, changed decisions')
    .option('--rules <file>', 'a policy file df.rules')
    .option('--policy <file>', 'a policy file df.decision')
    .option('--bundle <file>', 'a bundle (JSON), as if it were active in the slot')
    .option('--revision <policy@number>', 'a revision that was proposed: df.rules@7, df.decision@4')
    .option('--slot <slot>', 'of the bundle: primary or stage2', 'primary')
    .option('--run <run>', 'of this run alone, by its id or equivalence key')
    .option('--from <time>', 'payments from then on, by their own time, RFC 3339')
    .option('--to <time>', 'payments before then')
    .option('--labels <type>', 'judge by what became known: fraud_disposition, chargeback_status …')
    .option('--as-of <time>', 'known until then (default: now)')
    .option('--maturity-days <days>', 'so long without a label, and a payment counts as legitimate', asCount(0, 3_650))
    .option('--limit <number>', 'list at most so many changed decisions', asCount(0, 50_000), 20)
    .option('--csv <file>', 'write all changed decisions there')
    .addHelpText(
      'after',
      help(
        [
          'probity decision dry-run --run live --rules stricter.yaml',
          'probity decision dry-run --run live --revision df.rules@7',
          'probity decision dry-run --from 2026-11-21T00:00:00Z --bundle fraud.json --labels fraud_disposition --csv changed.csv',
        ],
        EXITS_DRY_RUN,
      ),
    )
    .action((flags: DryRunFlags) => run(flags, (_, terminal) => dryRun(table, flags, terminal)));

  doorway(program.command('explain <decision>'))
    .description('why a decision came out as it did: reasons, score, features, posture, policies, actions')
    .addHelpText('after', help(['probity explain 9c41…'], EXITS))
    .action((id: string, flags: DoorFlags) => run(flags, (_, terminal) => explainDecision(table, id, flags, terminal)));

  const verify = doorway(program.command('verify'));
  verify
    .description('make the decisions of a run again from the bus, and compare them byte for byte')
    .option('--run <run>', 'the run, by its id or equivalence key')
    .addHelpText(
      'after',
      help(['probity verify --run live', 'probity verify decision 9c41…', 'probity verify audit'], EXITS_VERIFIED),
    )
    .action((flags: VerifyFlags) => run(flags, (_, terminal) => verifyRun(table, flags, terminal)));
  doorway(verify.command('decision <decision>'))
    .description('make one decision again from the bus, and compare it byte for byte')
    .addHelpText('after', help(['probity verify decision 9c41…'], EXITS_VERIFIED))
    .action((id: string, flags: DoorFlags) => run(flags, (_, terminal) => verifyDecision(table, id, flags, terminal)));

  doorway(program.command('counterfactual'))
    .description('what other rules, features, another bundle or policy would have decided on the same events')
    .requiredOption('--run <run>', 'the run, by its id or equivalence key')
    .option('--rules <file>', 'a policy file df.rules')
    .option('--bundle <file>', 'a bundle (JSON), as if it alone were active')
    .option('--features <file>', 'a policy file ofp.features')
    .option('--policy <file>', 'a policy file df.decision')
    .addHelpText('after', help(['probity counterfactual --run live --rules stricter.yaml'], EXITS_ALIKE))
    .action((flags: CounterfactualFlags) => run(flags, (_, terminal) => counterfactual(table, flags, terminal)));
  return verify;
}
