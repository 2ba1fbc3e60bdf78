// Package reflection asks a gRPC server for its protobuf descriptors, by gRPC
// server reflection (grpc.reflection.v1).
package reflection

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Fetch returns the files that describe all services of the server at the
// address, HOST:PORT, which is spoken to without TLS. The files are in no
// particular order, each once.
func Fetch(ctx context.Context, address string) (files []*descriptorpb.FileDescriptorProto, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("gRPC server reflection of %s: %w", address, err)
		}
	}()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		return nil, err
	}
	c := &client{stream: stream, known: map[string]*descriptorpb.FileDescriptorProto{}}
	if err := c.services(); err != nil {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	if _, err := stream.Recv(); err != nil && !errors.Is(err, io.EOF) { // the end of the stream
		return nil, err
	}
	return c.files, nil
}

// client is one conversation.
type client struct {
	stream grpc.BidiStreamingClient[reflectionv1.ServerReflectionRequest, reflectionv1.ServerReflectionResponse]
	known  map[string]*descriptorpb.FileDescriptorProto // by name
	files  []*descriptorpb.FileDescriptorProto
}

func (c *client) ask(q *reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error) {
	if err := c.stream.Send(q); err != nil {
		return nil, err
	}
	a, err := c.stream.Recv()
	if err != nil {
		return nil, err
	}
	if e := a.GetErrorResponse(); e != nil {
		return nil, fmt.Errorf("the server says %q", e.GetErrorMessage())
	}
	return a, nil
}

// services takes in the files of all services.
func (c *client) services() error {
	list, err := c.ask(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
	})
	if err != nil {
		return err
	}
	for _, s := range list.GetListServicesResponse().GetService() {
		a, err := c.ask(&reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: s.GetName()},
		})
		if err != nil {
			return fmt.Errorf("service %s: %w", s.GetName(), err)
		}
		if err := c.take(a); err != nil {
			return fmt.Errorf("service %s: %w", s.GetName(), err)
		}
	}
	return nil
}

// take keeps the files of an answer, and asks for those that they import and
// the server did not send along.
func (c *client) take(a *reflectionv1.ServerReflectionResponse) error {
	var imports []string
	for _, data := range a.GetFileDescriptorResponse().GetFileDescriptorProto() {
		f := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(data, f); err != nil {
			return err
		}
		if c.known[f.GetName()] == nil {
			c.known[f.GetName()] = f
			c.files = append(c.files, f)
			imports = append(imports, f.GetDependency()...)
		}
	}
	imports = slices.DeleteFunc(imports, func(name string) bool { return c.known[name] != nil })
	for _, name := range imports {
		if c.known[name] != nil {
			continue
		}
		a, err := c.ask(&reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_FileByFilename{FileByFilename: name},
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := c.take(a); err != nil {
			return err
		}
	}
	return nil
}
