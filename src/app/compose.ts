import { type DynamicModule, type FactoryProvider, Global, Module, type Provider, type Type } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { Bus, type LogHolder, type PositionStore } from '../substrate/bus/bus.port.js';
import { Consumption, consumptionContract } from '../substrate/bus/consumption.port.js';
import { UnitConsumption } from '../substrate/bus/unit-consumption.js';
import { Clock } from '../substrate/clock/clock.port.js';
import { Database, type DatabaseServer } from '../substrate/database/database.port.js';
import { schemaName } from '../substrate/database/roles.js';
import type { AccessPolicy } from '../substrate/identity/access-policy.schema.js';
import { Access, Authenticator } from '../substrate/identity/identity.port.js';
import { servicePrincipal } from '../substrate/identity/principals.js';
import { GovernedPolicies, Policies } from '../substrate/policy/policy.port.js';
import { Objects } from '../substrate/objects/objects.port.js';
import { Secrets } from '../substrate/secrets/secrets.port.js';
import { LogSigner } from '../substrate/signing/log-signer.js';
import { httpRpc } from '../substrate/rpc/http.rpc.js';
import { inProcessRpc } from '../substrate/rpc/in-process.rpc.js';
import { rpcControllerFor } from '../substrate/rpc/rpc.controller.js';
import { RpcHost } from '../substrate/rpc/rpc-host.js';
import { MetricsSource } from '../substrate/telemetry/metrics-source.port.js';
import { Telemetry } from '../substrate/telemetry/telemetry.port.js';
import { principalOf, RequirePermission } from '../substrate/http/principal.js';
import { AuthGuard } from './http/auth.guard.js';
import { HealthController } from './http/health.controller.js';
import { MetricsController, MetricsText } from './http/metrics.controller.js';
import { OpenApiController, OpenApiHolder } from './http/openapi.controller.js';
import { ProblemFilter } from './http/problem.filter.js';
import { About } from '../substrate/about.js';
import { ConsumptionDesk, type ServedConsumption } from './consumption-desk.js';
import { Readiness } from './readiness.js';
import { UnitBus, UnitObjects } from './scoped.js';
import type { NamedUnit, UnitTable } from './unit-table.js';

/** Everything that the application stands on, opened. */
export interface Parts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly metrics: MetricsText;
  /** The metrics of all processes, for whoever judges by them. */
  readonly metricsSource: MetricsSource;
  readonly database: DatabaseServer;
  readonly bus: Bus;
  readonly objects: Objects;
  readonly authenticator: Authenticator;
  readonly access: Access;
  readonly accessPolicy: AccessPolicy;
  readonly policies: GovernedPolicies;
  readonly logSigner: LogSigner;
  readonly secrets: Secrets;
  readonly about: About;
  readonly readiness: Readiness;
}

/** How units reach roles that do not run here. */
export interface RemoteCalls {
  /** Where the role answers now; undefined while nobody is known to run it. */
  readonly addressOf: (role: string) => string | undefined;
  /** The bearer value of a role of this process. */
  readonly credential: (role: string) => string;
  readonly throughWire: boolean;
}

/**
 * The Nest module of one process: the table's rows that run here, each wired to what it declared and to nothing else.
 * A unit gets its own schema, may write its own topics and prefixes, and finds under a called port's token either the
 * owner in this process or a client for it: it cannot tell which, and cannot ask.
 */
export function composeApp(table: UnitTable, selected: readonly NamedUnit[], parts: Parts, remote: RemoteCalls): Type {
  const byRole = new Map(table.units.map((unit) => [unit.role, unit]));
  const modules = new Map<string, DynamicModule>();
  const served: ServedConsumption = new Map();
  const desk = (unit: NamedUnit): Provider => consumptionDesk(unit, table, served, parts, remote);
  // The table is in calling order, so whoever is called has been made before who calls.
  for (const unit of selected) {
    const calls = unit.calls.map((role) => {
      const callee = byRole.get(role);
      if (callee === undefined) throw new Error(`unit table: ${role} is not in it`);
      return portModule(unit, callee, modules.get(role), parts, remote);
    });
    const asks = unit.asksReaders === true ? [desk(unit)] : [];
    modules.set(unit.role, unitModule(unit, calls, parts, { asks, reads: readingOf(unit, parts, served) }));
  }

  @Module({
    imports: [platformModule(parts), ...modules.values()],
    controllers: [HealthController, MetricsController, OpenApiController],
    providers: [
      OpenApiHolder,
      { provide: APP_GUARD, useClass: AuthGuard },
      { provide: APP_FILTER, useClass: ProblemFilter },
    ],
  })
  class ProbityApp {}
  return ProbityApp;
}

/** What every unit may have: time, telemetry, who calls. State is given per unit. */
function platformModule(parts: Parts): DynamicModule {
  const providers: Provider[] = [
    { provide: Clock, useValue: parts.clock },
    { provide: Telemetry, useValue: parts.telemetry },
    { provide: MetricsText, useValue: parts.metrics },
    { provide: MetricsSource, useValue: parts.metricsSource },
    { provide: Authenticator, useValue: parts.authenticator },
    { provide: Access, useValue: parts.access },
    { provide: Policies, useValue: parts.policies },
    { provide: GovernedPolicies, useValue: parts.policies },
    { provide: LogSigner, useValue: parts.logSigner },
    { provide: Secrets, useValue: parts.secrets },
    { provide: About, useValue: parts.about },
    { provide: Readiness, useValue: parts.readiness },
    { provide: RpcHost, useValue: new RpcHost({ ...parts, principalOf }) },
  ];
  @Global()
  @Module({})
  class PlatformModule {}
  return { module: PlatformModule, providers, exports: providers.map(tokenOf) };
}

/** What a unit that reads the log answers about it, and where it is asked. */
interface Reading {
  readonly providers: Provider[];
  readonly controllers: Type[];
}

function readingOf(unit: NamedUnit, parts: Parts, served: ServedConsumption): Reading {
  const { role, consumes, holds } = unit;
  if (consumes === undefined && holds === undefined) return { providers: [], controllers: [] };
  const token = Symbol.for(`probity.consumption.${role}`);
  const stores = [...(consumes === undefined ? [] : [consumes.positions]), ...(holds === undefined ? [] : [holds])];
  const provider: FactoryProvider = {
    provide: token,
    inject: stores,
    useFactory: (...found: readonly object[]) => {
      const consumer = consumes === undefined ? undefined : { ...consumes, store: found[0] as PositionStore };
      const holder = holds === undefined ? undefined : (found.at(-1) as LogHolder);
      const service = new UnitConsumption(new UnitBus(parts.bus, unit), consumer, holder);
      served.set(role, service);
      return service;
    },
  };
  const controller = rpcControllerFor(consumptionContract(role), token, { requirePermission: RequirePermission });
  return { providers: [provider], controllers: [controller] };
}

function consumptionDesk(
  caller: NamedUnit,
  { units }: UnitTable,
  served: ServedConsumption,
  parts: Parts,
  remote: RemoteCalls,
): Provider {
  const common = { clock: parts.clock, telemetry: parts.telemetry.forComponent(caller.unit) };
  return {
    provide: Consumption,
    // Nest closes its connections when the application stops.
    useFactory: () =>
      new ConsumptionDesk({
        units,
        served,
        inProcess: {
          ...common,
          access: parts.access,
          caller: servicePrincipal(parts.accessPolicy, caller.role),
          throughWire: remote.throughWire,
        },
        distant: (role) => ({
          ...common,
          credential: () => remote.credential(caller.role),
          addressOf: () => remote.addressOf(role),
        }),
      }),
  };
}

function unitModule(
  unit: NamedUnit,
  calls: readonly DynamicModule[],
  parts: Parts,
  { asks, reads }: { readonly asks: readonly Provider[]; readonly reads: Reading },
): DynamicModule {
  @Module({})
  class UnitSubstrates {}
  const providers: Provider[] = [
    ...asks,
    { provide: Telemetry, useValue: parts.telemetry.forComponent(unit.unit) },
    { provide: Bus, useValue: new UnitBus(parts.bus, unit) },
    { provide: Objects, useValue: new UnitObjects(parts.objects, unit) },
    ...(unit.schema === undefined
      ? []
      : [{ provide: Database, useValue: parts.database.forSchema(schemaName(unit.schema)) }]),
  ];
  const substrates: DynamicModule = { module: UnitSubstrates, providers, exports: providers.map(tokenOf) };
  const { port } = unit;
  return {
    module: unit.module,
    imports: [substrates, ...calls],
    providers: reads.providers,
    controllers: [
      ...(port === undefined
        ? []
        : [rpcControllerFor(port.contract, port.service, { requirePermission: RequirePermission })]),
      ...reads.controllers,
    ],
  };
}

/** One caller's binding of one port: to the owner's service where it runs here, over HTTP where it does not. */
function portModule(
  caller: NamedUnit,
  callee: NamedUnit,
  owner: DynamicModule | undefined,
  parts: Parts,
  remote: RemoteCalls,
): DynamicModule {
  const { port } = callee;
  if (port === undefined) throw new Error(`unit table: ${callee.role} has no port`);
  const telemetry = parts.telemetry.forComponent(caller.unit);
  const common = { clock: parts.clock, telemetry };
  const local: FactoryProvider = {
    provide: port.token,
    inject: [port.service],
    useFactory: (service: object) =>
      inProcessRpc(port.contract, service, {
        ...common,
        access: parts.access,
        caller: servicePrincipal(parts.accessPolicy, caller.role),
        throughWire: remote.throughWire,
      }),
  };
  const distant: FactoryProvider = {
    provide: port.token,
    // Nest closes its connections when the application stops.
    useFactory: () =>
      httpRpc(port.contract, {
        ...common,
        credential: () => remote.credential(caller.role),
        addressOf: () => remote.addressOf(callee.role),
      }),
  };
  @Module({})
  class PortModule {}
  return {
    module: PortModule,
    imports: owner === undefined ? [] : [owner],
    providers: [owner === undefined ? distant : local],
    exports: [port.token],
  };
}

function tokenOf(provider: Provider): FactoryProvider['provide'] {
  return typeof provider === 'function' ? provider : provider.provide;
}
