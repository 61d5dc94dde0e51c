import { createParamDecorator, type ExecutionContext, SetMetadata } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { Permission, Principal } from '../identity/identity.port.js';

/** Where the guard leaves who calls; a symbol, so that nothing a client sends can stand in its place. */
export const PRINCIPAL = Symbol('principal');

export type AuthenticatedRequest = FastifyRequest & { [PRINCIPAL]?: Principal };

export const PERMISSION = 'probity:permission';

/** What a caller must be permitted to do to reach this route. A route without one is closed to everybody. */
export const RequirePermission = (permission: Permission): ClassDecorator & MethodDecorator =>
  SetMetadata(PERMISSION, permission);

/** The caller that the guard has authenticated; undefined where it has not been. */
export function principalOf(request: FastifyRequest): Principal | undefined {
  return (request as AuthenticatedRequest)[PRINCIPAL];
}

/** The authenticated caller, as a handler's argument. */
export const Caller = createParamDecorator((_: unknown, context: ExecutionContext): Principal | undefined => {
  return context.switchToHttp().getRequest<AuthenticatedRequest>()[PRINCIPAL];
});
