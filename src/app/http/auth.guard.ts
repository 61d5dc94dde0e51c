import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { Access, Authenticator, type Permission } from '../../substrate/identity/identity.port.js';
import { type AuthenticatedRequest, PERMISSION, PRINCIPAL } from '../../substrate/http/principal.js';

/**
 * Every HTTP call is authenticated, and every route names the permission that it wants. A caller without credentials is
 * the policy's ANONYMOUS principal, so even an open route is open by policy (law E2). Work from the bus carries no
 * HTTP credentials: its producers were authenticated at the door.
 */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly authenticator: Authenticator,
    private readonly access: Access,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    if (context.getType() !== 'http') return true;
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const { authorization } = request.headers;
    const principal = await this.authenticator.authenticate(authorization === undefined ? {} : { authorization });
    const permission = this.reflector.getAllAndOverride<Permission | undefined>(PERMISSION, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (permission === undefined) {
      throw new ProbityError('AUTHZ_DENIED', 'this route names no permission, so nobody may call it');
    }
    this.access.demand(principal, permission);
    request[PRINCIPAL] = principal;
    return true;
  }
}
