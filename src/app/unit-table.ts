import type { Type } from '@nestjs/common';
import type { LogHolder, PositionStore } from '../substrate/bus/bus.port.js';
import { ownMigrationsFolder } from '../substrate/database/migrations/migration.files.js';
import type { PolicyKind } from '../substrate/policy/policy.port.js';
import { ACCESS_POLICY } from './policy-file.js';
import type { RpcContract } from '../substrate/rpc/rpc.port.js';

/** The runtime shape of a unit, as the operators know it. */
export type UnitKind = 'service' | 'projector' | 'control service' | 'job' | 'human-facing';

/** What other units may call, and who answers. */
export interface UnitPort {
  /** The abstract class that callers inject: token and type in one. */
  // eslint-disable-next-line @typescript-eslint/no-unsafe-function-type -- an abstract class has no other type as a token
  readonly token: Function & { readonly prototype: object };
  /** The owner's provider; its module exports it. */
  readonly service: Type;
  readonly contract: RpcContract;
}

/** How a unit takes work from the bus: its handlers are found by `group`, its offsets stand in its own store (R5). */
export interface UnitConsumer<Topic extends string> {
  readonly group: string;
  readonly topics: readonly Topic[];
  /** A provider of the unit that loads the positions it committed together with its state. */
  readonly positions: Type<PositionStore>;
  readonly startWhenUnknown: 'low-water' | 'high-water';
  readonly batchRecordsMax: number;
  /** So long records gather once the unit has caught up: for units that nobody waits for. */
  readonly gatherMs?: number;
}

/** One row of the table: everything that composition, documentation and deployment need to know about a unit. */
export interface UnitRow<Role extends string, Topic extends string> {
  /** The unit's name in full, which is its folder's name. */
  readonly unit: string;
  readonly kind: UnitKind;
  /** Why it exists, in one sentence. */
  readonly why: string;
  readonly module: Type;
  readonly port?: UnitPort;
  /** Roles whose ports this unit injects. */
  readonly calls: readonly Role[];
  readonly consumes?: UnitConsumer<Topic>;
  /** A provider of the unit that names what else its work under way will read of the log. */
  readonly holds?: Type<LogHolder>;
  /** Whether it may ask every unit that reads the log what it still needs of it: it is given `Consumption`. */
  readonly asksReaders?: true;
  /** Topics on which this unit may append; its producer refuses others. */
  readonly produces: readonly Topic[];
  /** Topics whose old records this unit may take away. */
  readonly trims?: readonly Topic[];
  /** The Postgres schema that it owns. */
  readonly schema?: string;
  /** Prefixes of the object store that it owns: `ig/`. */
  readonly prefixes: readonly string[];
  /** The policy artifacts that it reads; a profile without one of them is refused. */
  readonly policies: readonly PolicyKind[];
  /** Whether several processes may run it at the same time. */
  readonly instances: 'one' | 'many';
}

/** Settings of a topic that hold in every environment; partitions and retention are the profile's. */
export interface TopicRow {
  readonly why: string;
  /** Bytes of the largest record. */
  readonly recordBytesMax: number;
}

export interface NamedUnit extends UnitRow<string, string> {
  readonly role: string;
}

/** The table once it has been checked, in the order in which units start: who is called before who calls. */
export interface UnitTable {
  readonly units: readonly NamedUnit[];
  readonly topics: Readonly<Record<string, TopicRow>>;
  /** Folders in which a folder of SQL files per schema stands; the later ones add to the earlier. */
  readonly migrationsFolders: readonly string[];
}

/**
 * Makes a table. Roles and topics are checked by the compiler (a wrong name does not compile); what types cannot say is
 * checked here, at once, for the table is a constant of the program: a call needs a port, calls form no circle, and no two
 * units own the same schema, prefix or group.
 */
export function defineUnits<
  const Topics extends Readonly<Record<string, TopicRow>>,
  const Rows extends Readonly<Record<string, UnitRow<Extract<keyof Rows, string>, Extract<keyof Topics, string>>>>,
>(topics: Topics, rows: Rows, migrationsFolders: readonly string[] = []): UnitTable {
  const named: readonly NamedUnit[] = Object.entries(rows)
    .map(([role, row]) => ({ role, ...(row as UnitRow<string, string>) }))
    .sort((a, b) => (a.role < b.role ? -1 : 1));
  refuseSharedOwnership(named);
  return { units: callOrder(named), topics, migrationsFolders: [ownMigrationsFolder(), ...migrationsFolders] };
}

function refuseSharedOwnership(units: readonly NamedUnit[]): void {
  const owners = new Map<string, string>();
  for (const { role, schema, prefixes, consumes } of units) {
    const owned = [
      ...(schema === undefined ? [] : [`schema ${schema}`]),
      ...prefixes.map((prefix) => `prefix ${prefix}`),
      ...(consumes === undefined ? [] : [`group ${consumes.group}`]),
    ];
    for (const thing of owned) {
      const other = owners.get(thing);
      if (other !== undefined) throw new Error(`unit table: ${thing} is owned by both ${other} and ${role}`);
      owners.set(thing, role);
    }
  }
}

/** Depth-first order over `calls`; a circle could neither be injected nor started, so it is refused with its path. */
function callOrder(units: readonly NamedUnit[]): readonly NamedUnit[] {
  const byRole = new Map(units.map((unit) => [unit.role, unit]));
  const ordered: NamedUnit[] = [];
  const done = new Set<string>();

  const visit = (unit: NamedUnit, path: readonly string[]): void => {
    if (done.has(unit.role)) return;
    if (path.includes(unit.role))
      throw new Error(`unit table: calls form a circle: ${[...path, unit.role].join(' → ')}`);
    for (const role of unit.calls) {
      const callee = byRole.get(role);
      if (callee?.port === undefined) throw new Error(`unit table: ${unit.role} calls ${role}, which has no port`);
      visit(callee, [...path, unit.role]);
    }
    done.add(unit.role);
    ordered.push(unit);
  };

  for (const unit of units) visit(unit, []);
  return ordered;
}

/** Every kind of policy that a profile must bring: the program's own and those of all units, whichever of them run here. */
export function policyKindsOf(table: UnitTable): readonly PolicyKind[] {
  const kinds = [ACCESS_POLICY, ...table.units.flatMap((unit) => unit.policies)];
  return kinds.filter((kind, index) => kinds.findIndex(({ policy_id }) => policy_id === kind.policy_id) === index);
}

export function rolesOf(table: UnitTable): readonly string[] {
  return table.units.map((unit) => unit.role).sort();
}
