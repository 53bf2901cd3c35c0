package probe

// Engines say how policies are switched on, by what gives pods their network.
var Engines = []string{
	"Amazon VPC CNI 1.14 and newer: aws eks update-addon --cluster-name CLUSTER --addon-name vpc-cni --configuration-values '{\"enableNetworkPolicy\": \"true\"}' (by its chart: --set enableNetworkPolicy=true)",
	"Cilium: policyEnforcementMode must not be never: helm upgrade cilium cilium/cilium -n kube-system --reuse-values --set policyEnforcementMode=default",
	"Calico: it enforces them where its calico-node runs on every node, also beside another network (AKS: --network-policy calico; GKE: --enable-network-policy; flannel: install canal)",
}
