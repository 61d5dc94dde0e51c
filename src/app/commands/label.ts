import type { AssertionInput } from '../../modules/label-store/assertion.schema.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Label } from '../../rails/events/label.schema.js';
import { targetKey } from '../../rails/labels/target.js';
import { parseUtc, type UtcMicros } from '../../rails/time.js';
import { LabelApi, type LabelResult } from '../client/label-api.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { runIdFrom } from './run.js';

export interface TargetFlags {
  readonly event?: string;
  readonly transaction?: string;
  readonly producer?: string;
  /** `type:id`. */
  readonly entity?: string;
}

export interface LabelAddFlags extends DoorFlags, TargetFlags {
  readonly run: string;
  readonly type: string;
  readonly value: string;
  readonly handle: string;
  readonly namespace: string;
  readonly effective?: string;
  readonly supersedes?: string;
}

/** One label, said by whoever holds the key. Exit 1 where it is refused. */
export async function addLabel(units: UnitTable, flags: LabelAddFlags, terminal: Terminal): Promise<ExitCode> {
  const label: AssertionInput = {
    run_id: runIdFrom(flags.run),
    namespace: flags.namespace,
    target: targetFrom(flags),
    label_type: flags.type,
    label_value: flags.value,
    handle: flags.handle,
    ...(flags.effective === undefined ? {} : { effective_at_utc: flags.effective }),
    ...(flags.supersedes === undefined ? {} : { supersedes: flags.supersedes }),
  };
  return await throughDoor(
    { table: units, flags, terminal, name: 'label', roles: ['ig', 'labels'] },
    async ({ api }) => {
      const [result] = await new LabelApi(api).append([label]);
      terminal.answer({ result }, result === undefined ? [] : [sentenceOf(result)]);
      return result?.outcome === 'REJECTED' ? EXIT.FAILED : EXIT.OK;
    },
  );
}

export interface LabelListFlags extends DoorFlags {
  readonly run?: string;
  readonly event?: string;
  readonly entity?: string;
  readonly type?: string;
  readonly value?: string;
  readonly namespace?: string;
  readonly limit: number;
  readonly cursor?: string;
}

/** What was said, oldest first. */
export async function listLabels(units: UnitTable, flags: LabelListFlags, terminal: Terminal): Promise<ExitCode> {
  const { event, entity, type, value, namespace, limit, cursor } = flags;
  const run = flags.run === undefined ? undefined : runIdFrom(flags.run);
  return await throughDoor({ table: units, flags, terminal, name: 'label', roles: ['labels'] }, async ({ api }) => {
    const page = await new LabelApi(api).list({ run, event, entity, type, value, namespace, limit, cursor });
    terminal.answer(page, [
      ...table(
        ['NUMBER', 'OBSERVED', 'EFFECTIVE', 'TARGET', 'TYPE', 'SAYS', 'BY', 'LABEL', 'IN PLACE OF'],
        page.labels.map(({ seq, label }) => [String(seq), ...cellsOf(label)]),
      ),
      ...(page.next_cursor === undefined ? [] : [`There are more: --cursor ${page.next_cursor}`]),
    ]);
    return EXIT.OK;
  });
}

export interface LabelKnownFlags extends DoorFlags {
  readonly run: string;
  readonly event?: string;
  readonly entity?: string;
  readonly type: string;
  readonly asOf: string;
  readonly effective?: string;
  readonly rule?: string;
}

/** What was known of one thing as of a time. */
export async function showKnown(units: UnitTable, flags: LabelKnownFlags, terminal: Terminal): Promise<ExitCode> {
  const target = targetFrom(flags);
  const question = {
    run_id: runIdFrom(flags.run) as never,
    targets: [target as never],
    label_type: flags.type,
    as_of_utc: timeOf(flags.asOf, '--as-of'),
    ...(flags.effective === undefined ? {} : { effective_at_utc: timeOf(flags.effective, '--effective') }),
    ...(flags.rule === undefined ? {} : { rule_id: flags.rule }),
  };
  return await throughDoor({ table: units, flags, terminal, name: 'label', roles: ['labels'] }, async ({ api }) => {
    const known = await new LabelApi(api).known(question);
    const [answer] = known.answers;
    const { as_of_utc, rule_id, ledger_seq } = known.basis;
    const labels =
      answer?.state === 'LABEL'
        ? [answer.label, ...answer.losers]
        : answer?.state === 'CONFLICT'
          ? answer.candidates
          : [];
    terminal.answer(known, [
      answer?.state === 'LABEL' ? answer.label.label_value : (answer?.state ?? 'UNKNOWN'),
      ...(labels.length === 0
        ? []
        : table(
            ['OBSERVED', 'EFFECTIVE', 'TARGET', 'TYPE', 'SAYS', 'BY', 'LABEL', 'IN PLACE OF'],
            labels.map((label) => cellsOf(label)),
          )),
      `As of ${as_of_utc}, by the rule ${rule_id}, ledger up to number ${ledger_seq}.`,
    ]);
    return EXIT.OK;
  });
}

export function sentenceOf({ outcome, label_id, ledger_seq, observed_at_utc, code, detail }: LabelResult): string {
  if (outcome === 'REJECTED') return `${code ?? ''}: ${detail ?? ''}`;
  const at = `number ${ledger_seq ?? 0}, observed ${observed_at_utc ?? ''}`;
  return outcome === 'ACCEPTED' ? `Label ${label_id ?? ''}: ${at}` : `Known already as label ${label_id ?? ''}: ${at}`;
}

function cellsOf({
  observed_at_utc,
  effective_at_utc,
  target,
  label_type,
  label_value,
  source,
  label_id,
  supersedes,
}: Label): readonly string[] {
  return [
    ...[observed_at_utc, effective_at_utc, target.kind === 'EVENT' ? target.event_id : targetKey(target)],
    ...[label_type, label_value, `${source.actor.actor_id} (${source.namespace})`, label_id, supersedes ?? '-'],
  ];
}

function targetFrom({ event, transaction, producer, entity }: TargetFlags): AssertionInput['target'] {
  const given = [event, transaction, entity].filter((each) => each !== undefined);
  if (given.length !== 1)
    throw new ProbityError('CONFIG_INVALID', 'say of what, once: --event ID, --transaction ID or --entity TYPE:ID');
  if (event !== undefined) return { kind: 'EVENT', event_id: event };
  if (transaction !== undefined)
    return { kind: 'TRANSACTION', transaction_id: transaction, ...(producer === undefined ? {} : { producer }) };
  const [type = '', ...id] = (entity ?? '').split(':');
  if (id.length === 0)
    throw new ProbityError('CONFIG_INVALID', '--entity is written TYPE:ID, such as customer_id:c-17');
  return { kind: 'ENTITY', type, id: id.join(':') };
}

function timeOf(text: string, option: string): UtcMicros {
  try {
    return parseUtc(text);
  } catch (cause) {
    throw new ProbityError('CONFIG_INVALID', `${option} is a time of RFC 3339, such as 2026-01-31T12:00:00Z`, {
      cause,
    });
  }
}
