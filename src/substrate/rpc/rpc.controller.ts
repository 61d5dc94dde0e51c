import { Controller, Inject, type InjectionToken, Param, Post, Req, Res, type Type } from '@nestjs/common';
import {
  ApiBearerAuth,
  ApiBody,
  ApiDefaultResponse,
  ApiExcludeEndpoint,
  ApiHeader,
  ApiOkResponse,
  ApiOperation,
  type ApiResponseOptions,
  ApiTags,
} from '@nestjs/swagger';
import type { TSchema } from '@sinclair/typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Permission } from '../identity/identity.port.js';
import { RpcHost } from './rpc-host.js';
import { DEADLINE_HEADER } from './rpc-headers.js';
import type { RpcContract, RpcMethod } from './rpc.port.js';

export interface RpcControllerOptions {
  /**
   * A decorator for each handler, where the application has a guard of its own that reads which permission a route wants.
   * The callee checks the permission in any case.
   */
  readonly requirePermission?: (permission: Permission) => MethodDecorator;
}

type OpenApiSchema = Extract<ApiResponseOptions, { schema: unknown }>['schema'];

/** The owner's side of one contract over HTTP; made by `rpcControllerFor`. */
interface RpcRoutes {
  readonly prototype: object;
}

/**
 * The controller of one contract: a route `POST /rpc/<role>/<method>` per method, each with its schemas in OpenAPI. A factory
 * and not one dynamic route over a registry: Nest then injects the owner's service as any other provider, and the
 * document of the process names exactly the methods that it serves.
 *
 * `owner` is the token of the owner's own service, not of a client that stands for it.
 */
export function rpcControllerFor(
  contract: RpcContract,
  owner: InjectionToken,
  { requirePermission }: RpcControllerOptions = {},
): Type {
  class Routes {
    readonly #answer: (method: string, request: FastifyRequest, reply: FastifyReply) => Promise<void>;

    constructor(service: object, host: RpcHost) {
      this.#answer = host.serve(contract, service);
    }

    answer(method: string, request: FastifyRequest, reply: FastifyReply): Promise<void> {
      return this.#answer(method, request, reply);
    }

    /** For methods that the caller knows and we do not: an error of this port, and not just nothing at that address. */
    unknown(method: string, request: FastifyRequest, reply: FastifyReply): Promise<void> {
      return this.#answer(method, request, reply);
    }
  }
  // The name shows in Nest's log of routes, and two controllers of one name would be one in its debugging tools.
  Object.defineProperty(Routes, 'name', { value: `RpcController_${contract.role}` });
  Inject(owner)(Routes, undefined, 0);
  Inject(RpcHost)(Routes, undefined, 1);
  Controller(`rpc/${contract.role}`)(Routes);
  ApiTags(`rpc: ${contract.role}`)(Routes);
  ApiBearerAuth()(Routes);

  for (const [name, method] of Object.entries(contract.methods)) {
    defineRoute(Routes, contract.role, name, method);
    decorate(Routes, name, requirePermission?.(method.permission));
  }
  Param('method')(Routes.prototype, 'unknown', 0);
  Req()(Routes.prototype, 'unknown', 1);
  Res()(Routes.prototype, 'unknown', 2);
  decorate(Routes, 'unknown', Post(':method'), ApiExcludeEndpoint(), requirePermission?.(`rpc.call:${contract.role}`));
  return Routes;
}

function defineRoute(routes: RpcRoutes, role: string, name: string, method: RpcMethod): void {
  Object.defineProperty(routes.prototype, name, {
    configurable: true,
    writable: true,
    value(this: { answer(...args: readonly unknown[]): unknown }, request: unknown, reply: unknown) {
      return this.answer(name, request, reply);
    },
  });
  Req()(routes.prototype, name, 0);
  Res()(routes.prototype, name, 1);
  decorate(
    routes,
    name,
    Post(name),
    ApiOperation({ summary: method.summary, operationId: `${role}_${name}` }),
    ApiBody({ schema: openApiSchema(method.request), required: true }),
    ApiOkResponse({ description: 'The answer.', schema: openApiSchema(method.response) }),
    ApiDefaultResponse({
      description: 'A problem document (RFC 9457) with code, retryable and remedy; see the list of errors.',
    }),
    ApiHeader({ name: DEADLINE_HEADER, required: false, description: 'Milliseconds that are left for this call.' }),
  );
}

function decorate(routes: RpcRoutes, name: string, ...decorators: readonly (MethodDecorator | undefined)[]): void {
  const descriptor = Object.getOwnPropertyDescriptor(routes.prototype, name) ?? {};
  for (const decorator of decorators) decorator?.(routes.prototype, name, descriptor);
}

/** JSON Schema is OpenAPI 3.1's own schema language; TypeBox's symbols have no place in the document. */
function openApiSchema(schema: TSchema): OpenApiSchema {
  return JSON.parse(JSON.stringify(schema)) as OpenApiSchema;
}
