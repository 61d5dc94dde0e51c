import { appendFileSync, renameSync, writeFileSync } from 'node:fs';
import type { DryRunChange, DryRunRequest } from '../../modules/decision-fabric/dry-run.schema.js';
import type { JsonObject } from '../../rails/canonical-json.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { DryRunApi } from '../client/dry-run-api.js';
import { changeCsvRow, CHANGES_CSV_HEAD, dryRunReport } from '../client/dry-run-report.js';
import type { Travel } from '../client/journey.js';
import { PoliciesApi } from '../client/policies-api.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { artifactOf } from '../policy-file.js';
import type { Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { YamlFile } from '../yaml-file.js';
import { readBundle } from './bundle-file.js';
import { revisionIn } from './policy-lanes.js';
import { runIdFrom } from './run.js';

const ROLES = ['df', 'ig', 'ofp', 'ieg', 'dl', 'edge', 'labels', 'mpr'] as const;

export interface DryRunFlags extends DoorFlags {
  readonly rules?: string;
  readonly policy?: string;
  readonly bundle?: string;
  /** A revision that was proposed: `df.rules@7`. */
  readonly revision?: string;
  readonly slot: string;
  readonly run?: string;
  readonly from?: string;
  readonly to?: string;
  readonly labels?: string;
  readonly asOf?: string;
  readonly maturityDays?: number;
  readonly limit: number;
  readonly csv?: string;
}

/** What other rules, another policy or bundle would have decided on events of the past; exit 0 whatever came out, 1 where nothing can be said. */
export async function dryRun(units: UnitTable, flags: DryRunFlags, terminal: Terminal): Promise<ExitCode> {
  const request = requestOf(flags);
  const proposed = candidateFrom(flags);
  return await throughDoor(
    { table: units, flags, terminal, name: 'dry-run', roles: flags.revision === undefined ? ROLES : [...ROLES, 'ops'] },
    async (travel) => {
      const api = new DryRunApi(travel.api);
      const found = await api.done(travel, {
        ...request,
        candidate: { ...request.candidate, ...(await proposed(travel)) },
      });
      const { dry_run_id: id, changes_kept: kept } = found;
      const listed: DryRunChange[] = [];
      for await (const page of api.changes(id, Math.min(flags.limit, kept))) listed.push(...page);
      if (flags.csv !== undefined && found.state === 'DONE') await writeCsv(flags.csv, api.changes(id, kept));
      travel.progress.clear();
      const { document, lines, ok } = dryRunReport(found, listed);
      terminal.answer(document, lines);
      return ok ? EXIT.OK : EXIT.FAILED;
    },
  );
}

/** The policies that a revision may be tried of, and what each is in a candidate. */
const TRIED: Readonly<Record<string, 'rules' | 'policy'>> = { 'df.rules': 'rules', 'df.decision': 'policy' };

/** Asks for the revision as it stands on the lane, whoever proposed it. */
function candidateFrom({
  revision,
  rules,
  policy,
}: DryRunFlags): (travel: Travel) => Promise<DryRunRequest['candidate']> {
  if (revision === undefined) return () => Promise.resolve({});
  const [id = '', number = '', ...more] = revision.split('@');
  const part = TRIED[id];
  if (part === undefined || more.length > 0)
    throw new ProbityError(
      'CONFIG_INVALID',
      `--revision is ${Object.keys(TRIED).join('@NUMBER or ')}@NUMBER, not ${revision}`,
    );
  if ({ rules, policy }[part] !== undefined)
    throw new ProbityError('CONFIG_INVALID', `--revision and --${part} both say which ${id} to try: give one of them`);
  const wanted = revisionIn(number);
  return async ({ api }) => ({ [part]: (await new PoliciesApi(api).artifact(id, wanted)).body });
}

function requestOf({
  rules,
  policy,
  bundle,
  revision,
  slot,
  run,
  from,
  to,
  labels,
  asOf,
  maturityDays,
}: DryRunFlags): DryRunRequest {
  if (rules === undefined && policy === undefined && bundle === undefined && revision === undefined)
    throw new ProbityError(
      'CONFIG_INVALID',
      'say what is to be other: --rules, --policy or --bundle FILE, or --revision POLICY@NUMBER, one or several',
    );
  if (run === undefined && from === undefined && to === undefined)
    throw new ProbityError('CONFIG_INVALID', 'say which decisions: --run RUN, --from TIME, --to TIME, one or several');
  if (slot !== 'primary' && slot !== 'stage2')
    throw new ProbityError(
      'CONFIG_INVALID',
      `--slot is primary or stage2, not ${slot}: a bundle that is only watched decides nothing`,
    );
  if (labels === undefined && (asOf !== undefined || maturityDays !== undefined))
    throw new ProbityError('CONFIG_INVALID', '--as-of and --maturity-days say how labels are read: give --labels TYPE');
  const bodyIn = (file: string): object => artifactOf(YamlFile.read(file)).body as JsonObject;
  return {
    ...(run === undefined ? {} : { run_id: runIdFrom(run) as never }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    candidate: {
      ...(rules === undefined ? {} : { rules: bodyIn(rules) }),
      ...(policy === undefined ? {} : { policy: bodyIn(policy) }),
      ...(bundle === undefined ? {} : { bundle: { slot, bundle: readBundle(bundle) } }),
    },
    ...(labels === undefined
      ? {}
      : {
          labels: {
            label_type: labels,
            ...(asOf === undefined ? {} : { as_of: asOf }),
            ...(maturityDays === undefined ? {} : { maturity_days: maturityDays }),
          },
        }),
  };
}

/** Page by page beside the file, and in its place once it is whole. */
async function writeCsv(file: string, pages: AsyncIterable<readonly DryRunChange[]>): Promise<void> {
  const incoming = `${file}.new`;
  writeFileSync(incoming, CHANGES_CSV_HEAD);
  for await (const page of pages) appendFileSync(incoming, page.map(changeCsvRow).join(''));
  renameSync(incoming, file);
}
