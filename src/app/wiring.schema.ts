import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { SecretRefSchema } from '../substrate/secrets/secrets.port.js';

/**
 * The wiring of a profile: where this process finds what it stands on, and how large it may grow. Nothing here changes
 * what a decision means; what does is policy and lives in artifacts with revision and digest (laws E1, C1).
 */

const closed = { additionalProperties: false } as const;

/** An address may stand here or in the environment, since containers like it there. */
const Setting = Type.Union([
  Type.String({ minLength: 1 }),
  Type.Object({ env: Type.String({ minLength: 1 }) }, closed),
]);

const Millis = (minimum = 1) => Type.Integer({ minimum, maximum: 86_400_000 });

/** One of several shapes, told apart by `kind`, so that a fault is reported against the shape that was meant. */
const byKind = <Schemas extends TSchema[]>(...schemas: [...Schemas]) =>
  Type.Unsafe<Static<Schemas[number]>>({
    type: 'object',
    discriminator: { propertyName: 'kind' },
    required: ['kind'],
    oneOf: schemas,
  });

const DatabaseWiring = byKind(
  Type.Object(
    { kind: Type.Literal('embedded'), pool_max: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })) },
    closed,
  ),
  Type.Object(
    {
      kind: Type.Literal('external'),
      /** host:port/database without credentials. */
      host: Setting,
      port: Type.Union([Type.Integer({ minimum: 1, maximum: 65_535 }), Type.Object({ env: Type.String() }, closed)]),
      database: Setting,
      /** Whoever owns the migrations; only `migrate` and a start with `migrate_at_start` need it. */
      admin: Type.Optional(Type.Object({ user: Setting, password: SecretRefSchema }, closed)),
      /** The key from which each unit role's password is derived. */
      role_secret: SecretRefSchema,
      tls: Type.Boolean(),
      pool_max: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
      migrate_at_start: Type.Boolean(),
    },
    closed,
  ),
);

const BusWiring = byKind(
  Type.Object({ kind: Type.Literal('embedded') }, closed),
  Type.Object(
    {
      kind: Type.Literal('kafka'),
      /** Comma-separated host:port list. */
      brokers: Setting,
      tls: Type.Boolean(),
      sasl: Type.Optional(
        Type.Object(
          {
            mechanism: Type.Union([
              Type.Literal('plain'),
              Type.Literal('scram-sha-256'),
              Type.Literal('scram-sha-512'),
            ]),
            username: Setting,
            password: SecretRefSchema,
          },
          closed,
        ),
      ),
      replication_factor: Type.Integer({ minimum: 1, maximum: 9 }),
    },
    closed,
  ),
);

const ObjectsWiring = byKind(
  Type.Object({ kind: Type.Literal('files') }, closed),
  Type.Object(
    {
      kind: Type.Literal('s3'),
      endpoint: Type.Optional(Setting),
      region: Setting,
      bucket: Setting,
      access_key_id: SecretRefSchema,
      secret_access_key: SecretRefSchema,
      path_style: Type.Boolean(),
      create_bucket: Type.Boolean(),
    },
    closed,
  ),
);

/** How wide a topic is and how long it keeps its records; null keeps them for ever. */
const TopicScale = Type.Object(
  {
    partitions: Type.Integer({ minimum: 1, maximum: 1024 }),
    retention_ms: Type.Union([Type.Integer({ minimum: 1 }), Type.Null()]),
  },
  closed,
);

export const Wiring = Type.Object(
  {
    /** Rides on every log line and metric as `env` (law O1). */
    env: Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$' }),
    http: Type.Object(
      {
        host: Type.String({ minLength: 1 }),
        port: Type.Integer({ minimum: 0, maximum: 65_535 }),
        body_bytes_max: Type.Integer({ minimum: 1024, maximum: 1_073_741_824 }),
        /** How long a client may take to send a request. */
        request_timeout_ms: Millis(),
        connections_max: Type.Integer({ minimum: 1, maximum: 65_535 }),
      },
      closed,
    ),
    database: DatabaseWiring,
    bus: BusWiring,
    objects: ObjectsWiring,
    topics: Type.Object(
      {
        /** Serves the topics that are not named. */
        default: TopicScale,
        named: Type.Optional(Type.Record(Type.String(), TopicScale)),
      },
      closed,
    ),
    rpc: Type.Object(
      {
        /** Role → base URL, for roles that run in other processes. Processes on one data folder find each other. */
        endpoints: Type.Record(Type.String(), Setting),
        deadline_ms: Millis(),
        /** Calls within the process take the way over the wire, too: encode, validate, decode. */
        through_wire: Type.Boolean(),
      },
      closed,
    ),
    identity: Type.Object(
      {
        /** The API key with which this process calls other roles; without one, a start on a data folder makes it there. */
        service_key: Type.Optional(SecretRefSchema),
      },
      closed,
    ),
    audit: Type.Optional(
      Type.Object(
        {
          /** The key that signs the audit log (`PRIVATE+KEY+…`); without one, a start on a data folder makes it there. */
          signing_key: SecretRefSchema,
        },
        closed,
      ),
    ),
    telemetry: Type.Object(
      {
        log_level: Type.Union([
          Type.Literal('debug'),
          Type.Literal('info'),
          Type.Literal('warn'),
          Type.Literal('error'),
        ]),
        otlp_endpoint: Type.Optional(Setting),
        otlp_headers: Type.Optional(SecretRefSchema),
        /** A server that scrapes all processes; without one they are asked themselves. */
        prometheus: Type.Optional(
          Type.Object({ url: Setting, selector: Type.String({ minLength: 1 }) }, { additionalProperties: false }),
        ),
        /** Share of new traces that are recorded, 0 to 1; propagation is not affected. */
        sampling_ratio: Type.Number({ minimum: 0, maximum: 1 }),
      },
      closed,
    ),
    /** Upper bound of a graceful stop. */
    stop_timeout_ms: Millis(),
  },
  closed,
);
export type Wiring = Static<typeof Wiring>;
