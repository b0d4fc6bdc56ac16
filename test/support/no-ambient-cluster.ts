/**
 * Runs before every test file: code under test that asks the environment for a cluster finds none. A developer's
 * KUBECONFIG is for shared-cluster.ts alone, which says aloud which cluster it names.
 */
delete process.env['KUBECONFIG'];
delete process.env['KUBERNETES_SERVICE_HOST'];
