import { isUtcMicros, parseUtc, type UtcMicros } from '../../rails/time.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { RegistryFact } from '../../rails/events/registry-fact.schema.js';
import { ChangesApi, type FactKeeper, type GovernanceChange, type PostureChange } from '../client/changes-api.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';

export interface ChangesFlags extends DoorFlags {
  readonly from?: string;
  readonly to?: string;
  readonly limit: number;
}

interface Change {
  readonly at_utc: string;
  /** The unit that keeps the record of it. */
  readonly source: FactKeeper | 'dl' | 'mpr';
  readonly kind: GovernanceChange['kind'] | 'POSTURE';
  readonly subject: string;
  readonly before: string | null;
  readonly after: string | null;
  readonly actor: string;
  readonly why: string;
  readonly id: string;
}

/** Who keeps the record of what was changed, and whom they ask where work was left that goes on meanwhile. */
const ROLES = ['ig', 'labels', 'ops', 'ofs', 'mpr', 'mf'] as const;

/** Every change of what governs the platform: policies, operations, datasets, trainings, bundles and postures, with who says so. */
export async function listChanges(units: UnitTable, flags: ChangesFlags, terminal: Terminal): Promise<ExitCode> {
  const [from, to] = [timeOf(flags.from, '--from'), timeOf(flags.to, '--to')];
  return await throughDoor(
    { table: units, flags, terminal, name: 'changes', roles: ROLES },
    async ({ api, serves }) => {
      const changes = new ChangesApi(api);
      const told = async (by: FactKeeper): Promise<readonly Change[]> =>
        (await changes.facts(by, { from, to }, flags.limit + 1)).map((fact) => ofFact(by, fact));
      const [facts, postures, bundles] = await Promise.all([
        Promise.all((['ops', 'ofs', 'mf'] as const).map(told)),
        // The ladder is not started for this: its first round would be a posture of its own.
        serves('dl') ? changes.postures({ from, to }, flags.limit + 1) : undefined,
        changes.bundles({ from, to }),
      ]);
      const all = [...facts.flat(), ...(postures ?? []).map(ofPosture), ...bundles.map(ofBundle)].sort((a, b) =>
        a.at_utc < b.at_utc ? 1 : a.at_utc > b.at_utc ? -1 : a.subject < b.subject ? -1 : 1,
      );
      const shown = all.slice(0, flags.limit);
      const more = all.length > shown.length;
      terminal.answer({ changes: shown, more, postures_known: postures !== undefined }, [
        ...table(
          ['TIME', 'KIND', 'WHAT', 'FROM', 'TO', 'BY', 'WHY'],
          shown.map(({ at_utc, kind, subject, before, after, actor, why }) => [
            at_utc,
            kind,
            subject,
            before ?? '-',
            after ?? '-',
            actor,
            why,
          ]),
        ),
        ...(more ? ['There are more: narrow it with --from and --to, or raise --limit.'] : []),
        ...(postures === undefined ? ['Postures are not in this list: nobody runs the role dl.'] : []),
      ]);
      return EXIT.OK;
    },
  );
}

/** What a subject is, where its id does not say so. */
const SUBJECTS: Readonly<Record<FactKeeper, string>> = { ops: '', ofs: 'dataset ', mf: 'training ' };

function ofFact(
  source: FactKeeper,
  { fact_id, kind, subject, actor, before, after, reason, observed_at_utc }: GovernanceChange,
): Change {
  return {
    at_utc: observed_at_utc,
    source,
    kind,
    subject: `${SUBJECTS[source]}${subject}`,
    before: side(before),
    after: side(after),
    actor: actor.actor_id,
    why: reason,
    id: fact_id,
  };
}

/** The rung before it is not part of a posture: the list shows it as the line below. */
function ofPosture({ scope_key, mode, health, reason_codes, posture_seq, decided_at_utc }: PostureChange): Change {
  return {
    at_utc: decided_at_utc,
    source: 'dl',
    kind: 'POSTURE',
    subject: `posture of ${scope_key}`,
    before: null,
    after: mode,
    actor: 'SYSTEM::dl',
    why: [health, ...reason_codes].join(', '),
    id: `${scope_key}:${posture_seq}`,
  };
}

function ofBundle({
  event_id,
  action,
  bundle,
  from_state,
  to_state,
  replaced,
  scopes,
  actor,
  reason,
  recorded_at_utc,
}: RegistryFact): Change {
  const slots = scopes.map(({ bundle_slot }) => bundle_slot).join(', ');
  return {
    at_utc: recorded_at_utc,
    source: 'mpr',
    kind: action,
    subject: `bundle ${bundle.bundle_id}@${bundle.bundle_version}${slots === '' ? '' : ` in ${slots}`}`,
    before: replaced === null ? from_state : `${replaced.bundle_id}@${replaced.bundle_version}`,
    after: to_state,
    actor: actor.actor_id,
    why: reason,
    id: event_id,
  };
}

function side(of: GovernanceChange['after']): string | null {
  if (of === null) return null;
  return 'policy_id' in of ? `${of.revision} (${of.content_digest.slice(0, 12)}…)` : of.locator;
}

function timeOf(text: string | undefined, option: string): UtcMicros | undefined {
  if (text === undefined || isUtcMicros(text)) return text;
  try {
    return parseUtc(text);
  } catch (cause) {
    throw new ProbityError('CONFIG_INVALID', `${option} is a time of RFC 3339, such as 2026-01-31T12:00:00Z`, {
      cause,
    });
  }
}
