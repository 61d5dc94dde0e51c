import { join } from 'node:path';
import type { Bus } from '../substrate/bus/bus.port.js';
import { EmbeddedBus } from '../substrate/bus/embedded.bus.js';
import { KafkaBus } from '../substrate/bus/kafka.bus.js';
import type { Clock } from '../substrate/clock/clock.port.js';
import type { DatabaseServer, SchemaName } from '../substrate/database/database.port.js';
import { openEmbeddedServer } from '../substrate/database/embedded/embedded.server.js';
import { schemaName } from '../substrate/database/roles.js';
import { PgDatabaseServer } from '../substrate/database/server.js';
import { FilesObjects } from '../substrate/objects/files.objects.js';
import type { Objects } from '../substrate/objects/objects.port.js';
import { S3Objects } from '../substrate/objects/s3.objects.js';
import type { Telemetry } from '../substrate/telemetry/telemetry.port.js';
import type { DataFolder } from './data-folder.js';
import type { Profile } from './profile.js';
import type { NamedUnit, UnitTable } from './unit-table.js';

/** What an adapter needs to be opened: one argument list for all of them. */
export interface OpeningParts {
  readonly profile: Profile;
  readonly folder: DataFolder;
  readonly table: UnitTable;
  /** Who opens, for connection names: the roles of this process. */
  readonly component: string;
  readonly clock: Clock;
}

/** The schema of the embedded bus's log. */
const BUS_SCHEMA = schemaName('bus');

/** Schemas that these units need here: their own, and the log's where the bus lives in the database. */
export function schemasOf(units: readonly NamedUnit[], profile: Profile): readonly SchemaName[] {
  const own = units.flatMap(({ schema }) => (schema === undefined ? [] : [schemaName(schema)]));
  return profile.wiring.bus.kind === 'embedded' ? [BUS_SCHEMA, ...own] : own;
}

export async function openDatabase({
  profile,
  folder,
  table,
  component,
  clock,
}: OpeningParts): Promise<DatabaseServer> {
  const { wiring, settings } = profile;
  const { database } = wiring;
  const common = {
    component,
    clock,
    migrationsFolders: table.migrationsFolders,
    ...(database.pool_max === undefined ? {} : { connectionsMax: database.pool_max }),
  };
  switch (database.kind) {
    case 'embedded':
      return await openEmbeddedServer({ ...common, dataFolder: folder.postgres });
    case 'external':
      return new PgDatabaseServer({
        ...common,
        address: {
          host: settings.text(database.host),
          port: settings.integer(database.port),
          database: settings.text(database.database),
          tls: database.tls ? {} : false,
        },
        ...(database.admin === undefined || !settings.has(database.admin.password)
          ? {}
          : {
              admin: { user: settings.text(database.admin.user), password: settings.read(database.admin.password) },
            }),
        roleSecret: settings.read(database.role_secret),
      });
  }
}

export async function openBus(
  { profile, component, clock }: OpeningParts,
  database: DatabaseServer,
  telemetry: Telemetry,
): Promise<Bus> {
  const { wiring, settings } = profile;
  const { bus } = wiring;
  switch (bus.kind) {
    case 'embedded':
      return await EmbeddedBus.open({ database: database.forSchema(BUS_SCHEMA), clock, telemetry });
    case 'kafka':
      return await KafkaBus.open({
        brokers: settings
          .text(bus.brokers)
          .split(',')
          .map((broker) => broker.trim()),
        clientId: `probity-${component}`,
        tls: bus.tls,
        replicationFactor: bus.replication_factor,
        ...(bus.sasl === undefined
          ? {}
          : {
              sasl: {
                mechanism: bus.sasl.mechanism,
                username: settings.text(bus.sasl.username),
                password: settings.read(bus.sasl.password),
              },
            }),
        clock,
        telemetry,
      });
  }
}

export async function openObjects({ profile, folder, clock }: OpeningParts): Promise<Objects> {
  const { wiring, settings } = profile;
  const { objects } = wiring;
  switch (objects.kind) {
    case 'files':
      return await FilesObjects.open(folder.objects, clock);
    case 's3':
      return await S3Objects.open(
        {
          ...(objects.endpoint === undefined ? {} : { endpoint: settings.text(objects.endpoint) }),
          region: settings.text(objects.region),
          bucket: settings.text(objects.bucket),
          forcePathStyle: objects.path_style,
          createBucket: objects.create_bucket,
          accessKeyId: settings.read(objects.access_key_id),
          secretAccessKey: settings.read(objects.secret_access_key),
          spoolFolder: join(folder.root, 'spool'),
        },
        clock,
      );
  }
}
