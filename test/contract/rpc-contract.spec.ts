import { describe, expect, it } from '@jest/globals';
import { Type } from '@sinclair/typebox';
import { PolicyAccess } from '../../src/substrate/identity/access.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { inProcessRpc } from '../../src/substrate/rpc/in-process.rpc.js';
import { defineContract, type PortOf } from '../../src/substrate/rpc/rpc-contract.js';
import type { CallContext } from '../../src/substrate/rpc/rpc.port.js';
import { ECHO } from '../support/rpc-echo.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { RPC_POLICY, SERVICE } from './rpc.contract.js';

const rest = { idempotent: true, permission: 'rpc.call:x', summary: 'x' } as const;
const contractOf = (request: Parameters<typeof Type.Array>[0]) =>
  defineContract('x', { get: { ...rest, request, response: Type.Null() } }).methods.get.request;

describe('contract of a port', () => {
  it('closes each object, however deep, unless it says otherwise', () => {
    const Leaf = Type.Object({ a: Type.String({ default: 'x' }) });
    const schema = contractOf(
      Type.Object({
        list: Type.Array(Leaf),
        choice: Type.Union([Leaf, Type.Null()]),
        open: Type.Object({}, { additionalProperties: true }),
        map: Type.Record(Type.String(), Leaf),
        properties: Type.Optional(Leaf),
      }),
    );
    const leaf = {
      type: 'object',
      required: ['a'],
      properties: { a: { type: 'string' } },
      additionalProperties: false,
    };
    expect(schema).toMatchObject({
      additionalProperties: false,
      required: ['list', 'choice', 'open', 'map'],
      properties: {
        list: { items: leaf },
        choice: { anyOf: [leaf, { type: 'null' }] },
        open: { additionalProperties: true },
        map: { patternProperties: { '^(.*)$': leaf } },
        properties: leaf,
      },
    });
    expect(Leaf).not.toHaveProperty('additionalProperties');
  });

  it('refuses what cannot work, at its definition', () => {
    const both = Type.Intersect([Type.Object({ a: Type.Null() }), Type.Object({ b: Type.Null() })]);
    expect(() => contractOf(both)).toThrow(/Type\.Composite/);
    const method = { ...rest, request: Type.Null(), response: Type.Null() };
    expect(() => defineContract('Ledger', { get: method })).toThrow(/not the name of a role/);
    expect(() => defineContract('x', { 'get-all': method })).toThrow(/not a method name/);
  });

  it('refuses a service that lacks one of its methods, at the start', () => {
    const { telemetry } = recordedTelemetry();
    const parts = { access: new PolicyAccess(RPC_POLICY), clock: new SystemClock(), telemetry, caller: SERVICE };
    expect(() => inProcessRpc(ECHO, { echo: () => undefined }, { ...parts, throughWire: false })).toThrow(
      /service of echo has no method whoAmI/,
    );
  });

  it('types the methods of the abstract class beside it', () => {
    const CONTRACT = defineContract('x', {
      get: { ...rest, request: Type.Object({ id: Type.String() }), response: Type.Object({ n: Type.Integer() }) },
    });
    abstract class Port implements PortOf<typeof CONTRACT> {
      abstract get(request: { id: string }, context: CallContext): Promise<{ n: number }>;
    }
    abstract class Wrong implements PortOf<typeof CONTRACT> {
      // @ts-expect-error The contract answers with n, not with m: another shape does not compile.
      abstract get(request: { id: string }, context: CallContext): Promise<{ m: number }>;
    }
    expect([Port, Wrong].map(({ name }) => name)).toEqual(['Port', 'Wrong']);
    expect(Object.keys(CONTRACT.methods)).toEqual(['get']);
  });
});
