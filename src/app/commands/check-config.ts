import type { ProfileFlags } from '../flags.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { loadProfile, profileFaults } from '../profile.js';
import { errorSpec } from '../../rails/errors/registry.js';
import { table, type Terminal } from '../terminal.js';
import { policyKindsOf, type UnitTable } from '../unit-table.js';
import { describeFault } from '../yaml-file.js';

export function checkConfig(units: UnitTable, flags: ProfileFlags, terminal: Terminal): ExitCode {
  const kinds = policyKindsOf(units);
  const faults = profileFaults(flags.profile, kinds);
  if (faults.length > 0) {
    terminal.answer(
      { ok: false, faults: faults.map((fault) => ({ ...fault, remedy: errorSpec(fault.code).remedy })) },
      faults.flatMap((fault) => [describeFault(fault), `  ${fault.code}. ${errorSpec(fault.code).remedy}`]),
    );
    return EXIT.USAGE;
  }
  const profile = loadProfile(flags.profile, kinds);
  const { database, bus, objects, env } = profile.wiring;
  const policies = [...profile.policies.values()];
  terminal.answer(
    {
      ok: true,
      env,
      wiring: { database: database.kind, bus: bus.kind, objects: objects.kind },
      policies: policies.map(({ policy_rev, file }) => ({ ...policy_rev, file })),
    },
    [
      `Profile ${flags.profile} (env ${env}) is valid: database ${database.kind}, bus ${bus.kind}, objects ${objects.kind}.`,
      ...table(
        ['POLICY', 'REVISION', 'DIGEST'],
        policies.map(({ policy_rev: rev }) => [rev.policy_id, String(rev.revision), rev.content_digest]),
      ),
    ],
  );
  return EXIT.OK;
}
