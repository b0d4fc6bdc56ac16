/** A kind as the API server names it. `group` is '' for the core group. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
}

/** Which object: without a namespace for kinds that have none. */
export interface ObjectRef {
  readonly namespace?: string | undefined;
  readonly name: string;
}

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean | undefined;
  blockOwnerDeletion?: boolean | undefined;
}

export interface ObjectMeta {
  name: string;
  namespace?: string | undefined;
  uid?: string | undefined;
  resourceVersion?: string | undefined;
  generation?: number | undefined;
  labels?: Record<string, string> | undefined;
  annotations?: Record<string, string> | undefined;
  finalizers?: string[] | undefined;
  managedFields?: unknown;
  ownerReferences?: OwnerReference[] | undefined;
  creationTimestamp?: string | undefined;
  deletionTimestamp?: string | undefined;
}

/** The least that every object has. */
export interface ApiObject {
  apiVersion?: string | undefined;
  kind?: string | undefined;
  metadata: ObjectMeta;
}

/** An object as it came, before anybody has parsed it. */
export interface KubeObject extends ApiObject {
  [field: string]: unknown;
}

export interface ObjectList<T = KubeObject> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
}

/** `ns/name`, or `name` for kinds without a namespace: the key of stores and queues. */
export function keyOf({ namespace, name }: ObjectRef): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** The reverse of `keyOf`. */
export function refOf(key: string): ObjectRef {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** `group/version`, or just the version for the core group. */
export function apiVersionOf({ group, version }: Resource): string {
  return group === '' ? version : `${group}/${version}`;
}

/** Path of one object, or of the collection when `name` is left out (all namespaces when that is left out, too). */
export function pathOf(resource: Resource, where: { namespace?: string | undefined; name?: string }): string {
  const root = `${resource.group === '' ? '/api' : '/apis'}/${apiVersionOf(resource)}`;
  const scope = where.namespace === undefined ? '' : `/namespaces/${encodeURIComponent(where.namespace)}`;
  const name = where.name === undefined ? '' : `/${encodeURIComponent(where.name)}`;
  return `${root}${scope}/${resource.plural}${name}`;
}
