package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PolicyStatus is the status that the Gateway API gives to policies: for each
// thing that the policy affects, whether it is in force there.
type PolicyStatus struct {
	// Ancestors are the objects whose traffic the policy affects.
	//
	// +kubebuilder:validation:MaxItems=16
	Ancestors []PolicyAncestorStatus `json:"ancestors"`
}

// PolicyAncestorStatus is the status for one object, as one controller sees it.
type PolicyAncestorStatus struct {
	// AncestorRef is the object.
	AncestorRef ParentReference `json:"ancestorRef"`

	// ControllerName is who writes this status, like sundog.dev/controller.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ControllerName string `json:"controllerName"`

	// Conditions are Accepted, with the reasons of the Gateway API: Accepted,
	// Conflicted, Invalid, TargetNotFound.
	//
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions"`
}

// ParentReference names an object.
type ParentReference struct {
	// Group of the object.
	//
	// +optional
	Group string `json:"group,omitempty"`

	// Kind of the object.
	//
	// +optional
	Kind string `json:"kind,omitempty"`

	// Namespace of the object. Default: the policy's.
	//
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// Name of the object.
	Name string `json:"name"`

	// SectionName is the part of the object that is meant. Default: all of it.
	//
	// +optional
	SectionName string `json:"sectionName,omitempty"`
}
